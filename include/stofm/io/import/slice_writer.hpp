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

#include "stofm/io/h5ad_new_writer.hpp"

namespace stofm::io {

class SliceWriter {
 public:
  /// Makes the file. \param path is written, `output` is what messages about the disk call it
  SliceWriter(const std::string& path, const std::string& output, std::function<void()> progress)
      : path_(path), output_(output), writer_(file_, output) {
    file_.path = output;
    file_.progress = std::move(progress);
    const Hdf5Handle access =
        checked_handle(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, output_, "", "create an access list");
    require_hdf5(H5Pset_fapl_sec2(access.get()) >= 0 && H5Pset_file_locking(access.get(), false, true) >= 0 &&
                     H5Pset_fclose_degree(access.get(), H5F_CLOSE_SEMI) >= 0,
                 output_, "", "create an access list");
    file_.handle = Hdf5Handle(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
    writer_.require(static_cast<bool>(file_.handle), "", "make the file");
    const hid_t root = file_.handle.get();
    writer_.set_encoding(root, "anndata", "0.1.0");
    x_ = writer_.create_group(root, "X");
    writer_.set_encoding(x_.get(), "csr_matrix", "0.1.0");
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
    writer_.require(H5Dset_extent(data_.get(), &none) >= 0 && H5Dset_extent(indices_.get(), &none) >= 0, "X",
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
    const hid_t root = file_.handle.get();
    writer_.set_attribute(x_.get(), "shape",
                          std::vector<std::int64_t>{static_cast<std::int64_t>(made.cells.size()),
                                                    static_cast<std::int64_t>(made.genes.size())});
    writer_.close(std::move(data_), "X/data");
    writer_.close(std::move(indices_), "X/indices");
    numbers(x_.get(), "X/indptr", "indptr", H5T_STD_I64LE, H5T_NATIVE_INT64, {starts.size()}, starts.data());
    writer_.close(std::move(x_), "X");
    const H5adParts parts(writer_, file_);
    for (const auto& [frame, names] : {std::pair{"obs", &made.cells}, std::pair{"var", &made.genes}}) {
      const Hdf5Handle group = writer_.create_group(root, frame);
      writer_.set_encoding(group.get(), "dataframe", "0.2.0");
      writer_.set_attribute(group.get(), "_index", std::string("_index"));
      writer_.set_attribute(group.get(), "column-order", std::vector<std::string>{});
      parts.strings(group.get(), std::string(frame) + "/_index", "_index", *names);
      if (file_.progress) file_.progress();
    }
    for (const char* dict : {"layers", "obsm", "obsp", "uns", "varm", "varp"}) {
      const Hdf5Handle group = writer_.create_group(root, dict);
      writer_.set_encoding(group.get(), "dict", "0.1.0");
      if (std::string_view(dict) == "obsm")
        numbers(group.get(), "obsm/spatial", "spatial", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                {static_cast<hsize_t>(made.spatial.dim(0)), 2}, made.spatial.data);
    }
    writer_.require(H5Fflush(root, H5F_SCOPE_GLOBAL) >= 0, "", "write the file");
    writer_.require(file_.handle.close(), "", "close the file");
    H5adAppender(path_, output_, output_, file_.progress).append(made.content);
    verify(made, starts);
  }

 private:
  static constexpr std::size_t piece = std::size_t{1} << 18;

  [[noreturn]] void fail_disk(const std::string& where, const std::string& found) const {
    throw ResourceError({"STOFM-5038", output_, where,
                         "the disk gave back other data than were written: " + found,
                         "a disk that keeps what it is given",
                         "Check the disk or network drive (is it full?) and run again."});
  }

  /// An empty list that grows.
  Hdf5Handle make_list(const char* name, hid_t type) const {
    const hsize_t none = 0, endless = H5S_UNLIMITED, chunk = 65536;
    const Hdf5Handle space(H5Screate_simple(1, &none, &endless), H5Sclose);
    const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    writer_.require(static_cast<bool>(list) && H5Pset_chunk(list.get(), 1, &chunk) >= 0 &&
                        H5Pset_obj_track_times(list.get(), false) >= 0,
                    name, "create a property list");
    Hdf5Handle data(H5Dcreate2(x_.get(), name, type, space.get(), H5P_DEFAULT, list.get(), H5P_DEFAULT),
                    H5Dclose);
    writer_.require(static_cast<bool>(data), concat("X/", name), "make a data set");
    writer_.set_encoding(data.get(), "array", "0.2.0");
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
    if (file_.progress) file_.progress();
  }
  void extend(hid_t data, const char* where, hid_t type, const void* values) const {
    const auto total = static_cast<hsize_t>(entries_), start = static_cast<hsize_t>(written_);
    const hsize_t count = total - start;
    writer_.require(H5Dset_extent(data, &total) >= 0, where, "extend a data set");
    const Hdf5Handle space(H5Dget_space(data), H5Sclose);
    const Hdf5Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
    writer_.require(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr) >= 0 &&
                        H5Dwrite(data, type, memory.get(), space.get(), H5P_DEFAULT, values) >= 0,
                    where, "write a data set");
  }
  static uLong checksum(uLong sum, const void* bytes, std::size_t size) {
    return crc32_z(sum, static_cast<const Bytef*>(bytes), size);
  }

  void numbers(hid_t parent, const std::string& where, const char* name, hid_t type, hid_t memory_type,
               const std::vector<hsize_t>& dims, const void* values) const {
    Hdf5Handle data = writer_.write_dataset(parent, name, type, memory_type, dims, values);
    writer_.set_encoding(data.get(), "array", "0.2.0");
    writer_.close(std::move(data), where);
    if (file_.progress) file_.progress();
  }

  /// Reads everything back but what H5adAppender has read. \throws ResourceError (STOFM-5038)
  void verify(const NewH5ad& made, const std::vector<std::int64_t>& starts) const {
    try {
      Hdf5File file = open_hdf5_file(path_);
      file.progress = file_.progress;
      const H5adFrame obs(file, "obs", 0), var(file, "var", 0);
      Hdf5Dataset indptr = open_hdf5_dataset(file, "X/indptr"), xy = open_hdf5_dataset(file, "obsm/spatial");
      const std::vector<double> places = read_doubles(xy, 0);
      const bool equal = obs.strings("_index") == made.cells && var.strings("_index") == made.genes &&
                         read_integers(indptr, 0) == starts && places.size() == 2 * made.cells.size() &&
                         std::memcmp(places.data(), made.spatial.data, places.size() * sizeof(double)) == 0 &&
                         stored_sum(file, "X/data") == data_sum_ &&
                         stored_sum(file, "X/indices") == indices_sum_;
      if (!equal) fail_disk("", "values differ");
    } catch (const ResourceError&) {
      throw;
    } catch (const Error& error) {
      fail_disk(error.where(), error.found());
    }
  }
  uLong stored_sum(const Hdf5File& file, const char* where) const {
    Hdf5Dataset data = open_hdf5_dataset(file, where);
    if (data.elements() != entries_ || data.element_size() != 4) fail_disk(where, "another size");
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

  std::string path_, output_;
  Hdf5File file_;
  Hdf5Writer writer_;
  Hdf5Handle x_, data_, indices_;
  std::vector<std::int64_t> offsets_;  ///< where rows begin, up to the last that was told
  std::vector<std::int32_t> columns_;
  std::vector<float> values_;
  std::int64_t entries_ = 0, written_ = 0;
  uLong data_sum_ = 0, indices_sum_ = 0;
};

}  // namespace stofm::io
