// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Writes a whole new .h5ad whose counts come row by row and are not held: X grows by pieces of 2^18 entries,
/// everything else is written at the end, then all of it is read back. The caller holds hdf5_mutex() and a
/// Hdf5Quiet.

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_new_file.hpp"

namespace stofm::io {

class SliceWriter {
 public:
  /// Makes the file. \param path is written, `output` is what messages about the disk call it
  SliceWriter(const std::string& path, const std::string& output, std::function<void()> progress)
      : file_(path, output, std::move(progress)) {
    file_.create();
    x_ = file_.writer().create_group(file_.root(), "X");
    file_.writer().set_encoding(x_.get(), "csr_matrix", "0.1.0");
    data_ = make_list("data", H5T_IEEE_F32LE);
    indices_ = make_list("indices", H5T_STD_I32LE);
  }

  /// Entries of the next row; rows that have none are not told.
  void append(std::int64_t row, std::span<const std::int32_t> columns, std::span<const float> values) {
    while (static_cast<std::int64_t>(offsets_.size()) <= row) offsets_.push_back(entries_);
    columns_.insert(columns_.end(), columns.begin(), columns.end());
    values_.insert(values_.end(), values.begin(), values.end());
    entries_ += static_cast<std::int64_t>(columns.size());
    if (columns_.size() >= piece) flush();
  }
  /// Back to nothing.
  void restart() {
    const hsize_t none = 0;
    file_.writer().require(
        H5Dset_extent(data_.get(), &none) >= 0 && H5Dset_extent(indices_.get(), &none) >= 0, "X",
        "resize a data set");
    offsets_.clear();
    columns_.clear();
    values_.clear();
    entries_ = written_ = 0;
    data_sum_ = indices_sum_ = 0;
  }
  std::int64_t entries() const { return entries_; }

  /// Writes the rest and closes. `made`: everything but the counts. \param kept rows of append() that are
  /// cells, in order; the others have no entries \throws as write_new_h5ad
  void finish(const NewH5ad& made, const std::vector<std::int64_t>& kept) {
    flush();
    std::vector<std::int64_t> starts{0};
    const auto end_of = [this](std::int64_t row) {
      return row + 1 < static_cast<std::int64_t>(offsets_.size())
                 ? offsets_[static_cast<std::size_t>(row) + 1]
                 : entries_;
    };
    for (const std::int64_t row : kept) starts.push_back(end_of(row));
    offsets_ = {};
    file_.write_shape(x_.get(), made);
    file_.writer().close(std::move(data_), "X/data");
    file_.writer().close(std::move(indices_), "X/indices");
    file_.numbers(x_.get(), "X/indptr", "indptr", H5T_STD_I64LE, H5T_NATIVE_INT64, {starts.size()},
                  starts.data());
    file_.writer().close(std::move(x_), "X");
    file_.write_frames(made);
    file_.close();
    H5adAppender(file_.path(), file_.output(), file_.output(), file_.progress()).append(made.content);
    file_.verify(made, [&](Hdf5File& file) {  // what H5adAppender has not read
      Hdf5Dataset indptr = open_hdf5_dataset(file, "X/indptr");
      return read_integers(indptr, 0) == starts && stored_sum(file, "X/data") == data_sum_ &&
             stored_sum(file, "X/indices") == indices_sum_;
    });
  }

 private:
  static constexpr std::size_t piece = std::size_t{1} << 18;

  /// An empty list that grows.
  Hdf5Handle make_list(const char* name, hid_t type) const {
    const hsize_t none = 0, endless = H5S_UNLIMITED, chunk = 65536;
    const Hdf5Handle space(H5Screate_simple(1, &none, &endless), H5Sclose);
    const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    file_.writer().require(static_cast<bool>(list) && H5Pset_chunk(list.get(), 1, &chunk) >= 0 &&
                               H5Pset_obj_track_times(list.get(), false) >= 0,
                           name, "create a property list");
    Hdf5Handle data(H5Dcreate2(x_.get(), name, type, space.get(), H5P_DEFAULT, list.get(), H5P_DEFAULT),
                    H5Dclose);
    file_.writer().require(static_cast<bool>(data), concat("X/", name), "make a data set");
    file_.writer().set_encoding(data.get(), "array", "0.2.0");
    return data;
  }

  void flush() {
    if (columns_.empty()) return;
    extend(data_.get(), "X/data", H5T_NATIVE_FLOAT, values_.data());
    extend(indices_.get(), "X/indices", H5T_NATIVE_INT32, columns_.data());
    data_sum_ = checksum(data_sum_, values_.data(), values_.size() * sizeof(float));
    indices_sum_ = checksum(indices_sum_, columns_.data(), columns_.size() * sizeof(std::int32_t));
    written_ = entries_;
    columns_.clear();
    values_.clear();
    file_.tick();
  }
  void extend(hid_t data, const char* where, hid_t type, const void* values) const {
    const auto total = static_cast<hsize_t>(entries_), start = static_cast<hsize_t>(written_);
    const hsize_t count = total - start;
    file_.writer().require(H5Dset_extent(data, &total) >= 0, where, "extend a data set");
    const Hdf5Handle space(H5Dget_space(data), H5Sclose);
    const Hdf5Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
    file_.writer().require(
        H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr) >= 0 &&
            H5Dwrite(data, type, memory.get(), space.get(), H5P_DEFAULT, values) >= 0,
        where, "write a data set");
  }
  static uLong checksum(uLong sum, const void* bytes, std::size_t size) {
    return crc32_z(sum, static_cast<const Bytef*>(bytes), size);
  }

  uLong stored_sum(const Hdf5File& file, const char* where) const {
    Hdf5Dataset data = open_hdf5_dataset(file, where);
    if (data.elements() != entries_ || data.element_size() != 4) file_.fail_disk(where, "another size");
    uLong sum = 0;
    std::vector<std::byte> stored;
    for (std::int64_t at = 0; at < entries_; at += std::int64_t{1} << 20) {
      const std::int64_t end = (std::min)(entries_, at + (std::int64_t{1} << 20));
      stored.resize(static_cast<std::size_t>(end - at) * 4);
      data.read_rows(at, end, stored);
      sum = checksum(sum, stored.data(), stored.size());
    }
    return sum;
  }

  detail::NewH5adFile file_;
  Hdf5Handle x_, data_, indices_;
  std::vector<std::int64_t> offsets_;  ///< where rows begin, up to the last that was told
  std::vector<std::int32_t> columns_;
  std::vector<float> values_;
  std::int64_t entries_ = 0, written_ = 0;
  uLong data_sum_ = 0, indices_sum_ = 0;
};

}  // namespace stofm::io
