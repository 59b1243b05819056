// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The HDF5 files of counts that 10x programs write: "matrix/..." of Cell Ranger 3 and later, Space Ranger
/// and Xenium, and one group a genome of Cell Ranger 1 and 2. Cells are the columns of a CSC matrix, so they
/// come one after the other. The caller holds hdf5_mutex() and a Hdf5Quiet.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/hdf5_strings.hpp"
#include "stofm/io/import/matrix_market.hpp"

namespace stofm::io {

namespace detail {

/// The open file and the parts of its matrix.
class TenxH5 {
 public:
  TenxH5(const std::filesystem::path& path, std::function<void(std::int64_t, std::int64_t)> progress)
      : file_(open_hdf5_file(path.string())), progress_(std::move(progress)) {}

  const std::string& path() const { return file_.path; }

  /// The group of the matrix: "matrix", or the genome of an old file. \throws FileError (STOFM-3913)
  std::string find_group() const {
    const auto is_data = [this](const std::string& name) {
      return open_hdf5_object(file_, name).kind == Hdf5Kind::dataset;
    };
    if (is_data("matrix/barcodes")) return "matrix";
    std::vector<std::string> genomes;
    for (const std::string& name : hdf5_names(file_, open_hdf5_object(file_, "/"), 50))
      if (is_data(name + "/barcodes") && is_data(name + "/indptr")) genomes.push_back(name);
    if (genomes.size() == 1) return genomes.front();
    if (genomes.empty())
      fail("", "an HDF5 file without matrix/barcodes", "a feature-barcode matrix of 10x",
           is_data("barcode_idx")
               ? "This is molecule_info.h5: give the filtered_feature_bc_matrix.h5 of the same run."
               : "Give filtered_feature_bc_matrix.h5 or cell_feature_matrix.h5.");
    fail("", concat("matrices of ", genomes.size(), " genomes: ", genomes[0], ", ", genomes[1]), "one",
         "Take one genome out with scanpy.read_10x_h5(..., genome=NAME) and write_h5ad.");
  }

  FeatureMatrix open() {
    group_ = find_group();
    FeatureMatrix matrix;
    matrix.files = {file_.path};
    matrix.barcodes = strings("barcodes");
    const bool modern = open_hdf5_object(file_, group_ + "/features").kind == Hdf5Kind::group;
    matrix.features.ids = strings(modern ? "features/id" : "genes");
    matrix.features.names = strings(modern ? "features/name" : "gene_names");
    if (modern && open_hdf5_object(file_, group_ + "/features/feature_type").kind == Hdf5Kind::dataset)
      matrix.features.types = strings("features/feature_type");
    features_ = static_cast<std::int64_t>(matrix.features.ids.size());
    if (matrix.features.names.size() != matrix.features.ids.size() ||
        (!matrix.features.types.empty() && matrix.features.types.size() != matrix.features.ids.size()))
      fail("features",
           concat(matrix.features.names.size(), " names, ", matrix.features.types.size(), " types"),
           concat(features_, ", as many as ids"), again);
    Hdf5Dataset starts = open_hdf5_dataset(file_, group_ + "/indptr");
    if (starts.rank() != 1 || starts.elements() != static_cast<std::int64_t>(matrix.barcodes.size()) + 1)
      fail("indptr", concat(starts.elements(), " entries"),
           concat(matrix.barcodes.size() + 1, ": one a barcode and one"), again);
    starts_ = read_integers(starts, 0);
    if (starts_.front() != 0) fail("indptr", concat("a start at ", starts_.front()), "0", again);
    for (std::size_t i = 1; i < starts_.size(); ++i)
      if (starts_[i] < starts_[i - 1])
        fail("indptr",
             concat("cell ", i - 1, " ends at ", starts_[i], " before it starts at ", starts_[i - 1]),
             "an increasing list", again);
    Hdf5Dataset shape = open_hdf5_dataset(file_, group_ + "/shape");
    if (shape.elements() != 2) fail("shape", concat(shape.elements(), " numbers"), "2", again);
    const std::vector<std::int64_t> sizes = read_integers(shape, 0);
    if (sizes[0] != features_ || sizes[1] != static_cast<std::int64_t>(matrix.barcodes.size()))
      fail("shape", concat(sizes[0], " x ", sizes[1]),
           concat(features_, " x ", matrix.barcodes.size(), ", features x barcodes"), again);
    for (const char* part : {"indices", "data"}) {
      const Hdf5Dataset data = open_hdf5_dataset(file_, group_ + "/" + part);
      if (data.rank() != 1 || data.elements() != starts_.back())
        fail(part, concat(data.elements(), " entries"), concat(starts_.back(), ", where indptr ends"), again);
      if (std::string(part) == "indices" ? !data.type().is_integer() : !data.type().is_number())
        fail(part, to_string(data.type()), "numbers", again);
      data.require_stored(std::int64_t{16} << 20);
    }
    return matrix;
  }

  void stream(CountSink& sink, const std::vector<std::int64_t>& row_of) {
    Hdf5Dataset indices = open_hdf5_dataset(file_, group_ + "/indices");
    Hdf5Dataset data = open_hdf5_dataset(file_, group_ + "/data");
    constexpr std::int64_t segment = std::int64_t{1} << 20;
    std::vector<std::byte> raw;
    std::vector<std::int64_t> index;
    std::vector<double> value;
    std::size_t cell = 0;
    for (std::int64_t at = 0; at < starts_.back(); at += segment) {
      if (progress_) progress_(at, starts_.back());
      const std::int64_t stop = (std::min)(at + segment, starts_.back());
      const auto count = static_cast<std::size_t>(stop - at);
      index.resize(count);
      value.resize(count);
      raw.resize(count * indices.type().size);
      indices.read_rows(at, stop, raw);
      convert_to_int64(indices.type(), raw.data(), index);
      raw.resize(count * data.type().size);
      data.read_rows(at, stop, raw);
      convert_to_double(data.type(), raw.data(), value);
      for (std::size_t i = 0; i < count; ++i) {
        while (starts_[cell + 1] <= at + static_cast<std::int64_t>(i)) ++cell;
        if (index[i] < 0 || index[i] >= features_)
          fail("indices",
               concat("cell ", cell, ", entry ", at + static_cast<std::int64_t>(i), ": feature ", index[i]),
               concat("0 to ", features_ - 1), again);
        if (!(value[i] >= 0) || std::isinf(value[i]))
          throw FileError({"STOFM-3909", file_.path, group_ + "/data",
                           concat("the value ", value[i], " in cell ", cell),
                           "counts that are finite and not negative", "Give the matrix of raw counts."});
        if (row_of[cell] >= 0) sink.add(row_of[cell], index[i], value[i]);
      }
    }
  }

 private:
  static constexpr const char* again = "The file is damaged: get it again.";

  [[noreturn]] void fail(const std::string& part, std::string found, std::string expected,
                         std::string remedy) const {
    throw FileError({"STOFM-3913", file_.path, part.empty() ? part : group_ + "/" + part, std::move(found),
                     std::move(expected), std::move(remedy)});
  }
  std::vector<std::string> strings(const char* part) {
    Hdf5Dataset data = open_hdf5_dataset(file_, group_ + "/" + part);
    return read_strings(data, 0);
  }

  Hdf5File file_;
  std::function<void(std::int64_t, std::int64_t)> progress_;
  std::string group_;
  std::int64_t features_ = 0;
  std::vector<std::int64_t> starts_;
};

}  // namespace detail

/// Opens a file of 10x; the counts are read when they are streamed. \throws FileError STOFM-3913 parts that
/// are missing or do not fit each other, and as Hdf5Dataset
inline FeatureMatrix open_tenx_h5(const std::filesystem::path& path, const ImportContext& context) {
  const auto file = std::make_shared<detail::TenxH5>(path, context.reading("counts"));
  FeatureMatrix matrix = file->open();
  matrix.stream = [file](CountSink& sink, const std::vector<std::int64_t>& row_of) {
    file->stream(sink, row_of);
  };
  return matrix;
}

}  // namespace stofm::io
