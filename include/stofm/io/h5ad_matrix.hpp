// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A matrix of an .h5ad file, dense, CSR or CSC, visited row by row with bounded memory.
///
/// CSR and dense: a segment of at most 2^20 entries (or one strip of chunks) at a time, plus indptr. CSC:
/// transposed once by counting, 12 bytes an entry plus 8 bytes a row, held as long as the object lives.

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_frame.hpp"

namespace stofm::io {

enum class H5adStorage { dense, csr, csc };

/// "dense", "csr", "csc".
inline const char* to_string(H5adStorage storage) {
  return storage == H5adStorage::dense ? "dense" : storage == H5adStorage::csr ? "csr" : "csc";
}

class H5adMatrix {
 public:
  /// Opens the matrix at `path` and checks its shape against rows x columns and its parts against each other.
  H5adMatrix(const Hdf5File& file, const std::string& path, std::int64_t rows, std::int64_t columns,
             std::int64_t memory_limit)
      : file_(&file), path_(path), rows_(rows), columns_(columns), memory_limit_(memory_limit) {
    const Hdf5Object object = open_hdf5_object(file, path);
    if (object.kind == Hdf5Kind::group) {
      open_sparse(object);
    } else {
      parts_.push_back(open_hdf5_dataset(file, path));
      open_dense();
    }
  }

  const Hdf5File& file() const { return *file_; }
  const std::string& path() const { return path_; }
  H5adStorage storage() const { return storage_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  /// Stored entries: of a dense matrix all.
  std::int64_t entries() const { return values().elements(); }
  const Hdf5Dataset& values() const { return parts_.front(); }
  /// What stored_values() counts in: entries of a sparse matrix, rows of a dense one.
  std::int64_t lines() const { return values().dim(0); }
  std::int64_t line_width() const { return values().rank() == 2 ? columns_ : 1; }
  /// Bytes of a stored value.
  std::int64_t value_bytes() const { return static_cast<std::int64_t>(values().type().size); }
  /// The file, for messages.
  const std::string& source() const { return file_->path; }

  /// Values as stored, [begin, end) of the entries of a sparse matrix or of the rows of a dense one.
  std::vector<double> stored_values(std::int64_t begin, std::int64_t end) {
    Hdf5Dataset& data = parts_.front();
    std::vector<double> values(
        static_cast<std::size_t>((end - begin) * (data.rank() == 2 ? data.dim(1) : 1)));
    raw_.resize(values.size() * data.type().size);
    data.read_rows(begin, end, raw_);
    convert_to_double(data.type(), raw_.data(), values);
    return values;
  }

  /// Calls visit(row, columns, values, first_entry) for rows [begin, end), in order, with a piece of the row
  /// each time: `columns` int64 and in range, or empty for a dense row, whose values stand for all columns.
  /// Explicit zeros and duplicates come as stored. A row without entries is not visited.
  template <class Visit>
  void visit_rows(std::int64_t begin, std::int64_t end, Visit&& visit) {
    if (storage_ == H5adStorage::dense) return visit_dense(begin, end, visit);
    if (storage_ == H5adStorage::csr) return visit_csr(begin, end, visit);
    transpose();
    std::vector<std::int64_t> columns;
    for (std::int64_t row = begin; row < end; ++row) {
      const auto from = static_cast<std::size_t>(row_starts_[static_cast<std::size_t>(row)]);
      const auto to = static_cast<std::size_t>(row_starts_[static_cast<std::size_t>(row) + 1]);
      if (from == to) continue;
      columns.assign(row_columns_.begin() + static_cast<std::ptrdiff_t>(from),
                     row_columns_.begin() + static_cast<std::ptrdiff_t>(to));
      visit(row, std::span<const std::int64_t>(columns),
            std::span<const double>(row_values_).subspan(from, to - from), static_cast<std::int64_t>(from));
    }
  }

 private:
  static constexpr std::int64_t segment = std::int64_t{1} << 20;
  /// Chunks that were never written are streamed as what they are, zeros, but not for hours.
  static constexpr std::int64_t most_unstored = std::int64_t{16} << 30;

  Hdf5Dataset& indices() { return parts_[1]; }

  [[noreturn]] void fail(std::string code, const std::string& part, std::string found,
                         std::string expected) const {
    throw FileError({std::move(code), file_->path, path_ + part, std::move(found), std::move(expected),
                     "Write the file again with anndata."});
  }

  void require_numbers() const {
    if (!values().type().is_number())
      values().fail("STOFM-3511", to_string(values().type()), "numbers",
                    "Write the counts as integers or floats.");
  }

  void open_dense() {
    const Hdf5Dataset& data = values();
    const std::string encoding = read_encoding(*file_, data.object());
    if (!encoding.empty() && encoding != "array")
      fail("STOFM-3508", "", "encoding " + stofm::quoted(encoding, 60), "array, csr_matrix or csc_matrix");
    if (data.rank() != 2) fail("STOFM-3510", "", concat("an array of rank ", data.rank()), "cells x genes");
    require_numbers();
    check_shape(data.dim(0), data.dim(1));
    require_stored();
  }

  /// A matrix of which nothing at all was stored is fill values from end to end: none of it is a count.
  void require_stored() const {
    values().require_stored(values().stored_bytes() == 0 ? std::int64_t{16} << 20 : most_unstored);
  }

  void check_shape(std::int64_t rows, std::int64_t columns) const {
    if (rows == rows_ && columns == columns_) return;
    throw FileError({"STOFM-3509", file_->path, path_, concat(rows, " x ", columns),
                     concat(rows_, " x ", columns_, " (cells of obs x genes of var)"),
                     "Write the file again with anndata."});
  }

  void open_sparse(const Hdf5Object& group) {
    std::string kind = read_encoding(*file_, group);
    if (kind.empty()) kind = read_string_attribute(*file_, group, "h5sparse_format").value_or("");
    if (kind == "csr_matrix" || kind == "csr") {
      storage_ = H5adStorage::csr;
    } else if (kind == "csc_matrix" || kind == "csc") {
      storage_ = H5adStorage::csc;
    } else {
      fail("STOFM-3508", "",
           kind.empty() ? "a group without an encoding-type" : "encoding " + stofm::quoted(kind, 60),
           "array, csr_matrix or csc_matrix");
    }
    auto shape = read_integer_list(*file_, group, "shape");
    if (!shape) shape = read_integer_list(*file_, group, "h5sparse_shape");
    if (!shape || shape->size() != 2)
      fail("STOFM-3509", "@shape", "no shape of two integers", "cells x genes");
    check_shape((*shape)[0], (*shape)[1]);
    for (const char* part : {"/data", "/indices", "/indptr"}) {
      parts_.push_back(open_hdf5_dataset(*file_, path_ + part));
      if (parts_.back().rank() != 1)
        fail("STOFM-3509", part, concat("rank ", parts_.back().rank()), "a list");
    }
    require_numbers();
    if (!indices().type().is_integer())
      fail("STOFM-3512", "/indices", to_string(indices().type()), "integers");
    if (indices().elements() != values().elements())
      fail("STOFM-3514", "/indices", concat(indices().elements(), " entries"),
           concat(values().elements(), ", as data has"));
    require_stored();
    indices().require_stored(most_unstored);
    read_starts();
    parts_.pop_back();
  }

  void read_starts() {
    Hdf5Dataset& data = parts_[2];
    const std::int64_t lines = storage_ == H5adStorage::csr ? rows_ : columns_;
    const char* line = storage_ == H5adStorage::csr ? "row " : "column ";
    if (!data.type().is_integer()) fail("STOFM-3512", "/indptr", to_string(data.type()), "integers");
    if (data.elements() != lines + 1)
      fail("STOFM-3512", "/indptr", concat(data.elements(), " entries"),
           concat(lines + 1, ": one a ", line, "and one (", to_string(storage_), ")"));
    starts_ = read_integers(data, memory_limit_);
    if (starts_.front() != 0) fail("STOFM-3512", "/indptr", concat("a start at ", starts_.front()), "0");
    for (std::size_t i = 1; i < starts_.size(); ++i)
      if (starts_[i] < starts_[i - 1])
        fail("STOFM-3512", "/indptr",
             concat(line, i - 1, " ends at ", starts_[i], " before it starts at ", starts_[i - 1]),
             "an increasing list");
    if (starts_.back() != entries())
      fail("STOFM-3512", "/indptr", concat("a last ", line, "that ends at ", starts_.back()),
           concat(entries(), ", the number of entries"));
  }

  /// Entries [begin, end) as (index, value); `limit`: indices must be below.
  void read_entries(std::int64_t begin, std::int64_t end, std::int64_t limit) {
    const auto count = static_cast<std::size_t>(end - begin);
    index_segment_.resize(count);
    value_segment_.resize(count);
    raw_.resize(count * indices().type().size);
    indices().read_rows(begin, end, raw_);
    convert_to_int64(indices().type(), raw_.data(), index_segment_);
    raw_.resize(count * values().type().size);
    parts_.front().read_rows(begin, end, raw_);
    convert_to_double(values().type(), raw_.data(), value_segment_);
    for (std::size_t i = 0; i < count; ++i)
      if (index_segment_[i] < 0 || index_segment_[i] >= limit)
        fail_index(begin + static_cast<std::int64_t>(i), index_segment_[i], limit);
  }

  [[noreturn]] void fail_index(std::int64_t entry, std::int64_t index, std::int64_t limit) const {
    const auto line = std::upper_bound(starts_.begin(), starts_.end(), entry) - starts_.begin() - 1;
    const bool csr = storage_ == H5adStorage::csr;
    fail("STOFM-3513", "/indices",
         concat(csr ? "row " : "column ", line, ", entry ", entry, ": ", csr ? "column " : "row ", index),
         concat("0 to ", limit - 1));
  }

  template <class Visit>
  void visit_csr(std::int64_t begin, std::int64_t end, Visit& visit) {
    const auto start_of = [this](std::int64_t row) { return starts_[static_cast<std::size_t>(row)]; };
    std::int64_t row = begin;
    for (std::int64_t at = start_of(begin); at < start_of(end);) {
      const std::int64_t stop = (std::min)(at + segment, start_of(end));
      read_entries(at, stop, columns_);
      const std::span<const std::int64_t> index(index_segment_);
      const std::span<const double> value(value_segment_);
      for (std::int64_t from = at; from < stop;) {
        while (start_of(row + 1) <= from) ++row;
        const std::int64_t to = (std::min)(stop, start_of(row + 1));
        const auto offset = static_cast<std::size_t>(from - at);
        const auto count = static_cast<std::size_t>(to - from);
        visit(row, index.subspan(offset, count), value.subspan(offset, count), from);
        from = to;
      }
      at = stop;
    }
  }

  template <class Visit>
  void visit_dense(std::int64_t begin, std::int64_t end, Visit& visit) {
    if (columns_ == 0) return;
    const Hdf5Dataset& data = values();
    std::int64_t block = (std::max<std::int64_t>)(1, segment / columns_);
    if (data.layout() == Hdf5Layout::chunked) {  // whole strips of chunks, so that each is decoded once
      const std::int64_t strip = data.chunk_dim(0);
      // A strip is held as stored, its rows are converted one by one. What it may take follows what is there.
      const std::int64_t most =
          (std::min)(hdf5_chunk_limit, (std::max)(hdf5_cache_bytes, 16 * data.stored_bytes()));
      if (strip <= most / (std::max<std::int64_t>)(1, data.row_bytes()) || strip < block)
        block = (std::max<std::int64_t>)(1, block / strip) * strip;
    }
    const auto width = static_cast<std::size_t>(data.row_bytes());
    std::vector<double> dense(static_cast<std::size_t>(columns_));
    for (std::int64_t first = begin; first < end;) {
      const std::int64_t last = (std::min)(end, (first / block + 1) * block);
      raw_.resize(static_cast<std::size_t>(last - first) * width);
      parts_.front().read_rows(first, last, raw_);
      for (std::int64_t row = first; row < last; ++row) {
        convert_to_double(data.type(), raw_.data() + static_cast<std::size_t>(row - first) * width, dense);
        visit(row, std::span<const std::int64_t>{}, std::span<const double>(dense), row * columns_);
      }
      first = last;
    }
  }

  void transpose() {
    if (!row_starts_.empty()) return;
    parts_.front().require_holdable(12, memory_limit_);
    row_starts_.assign(static_cast<std::size_t>(rows_) + 1, 0);
    for (std::int64_t at = 0; at < entries(); at += segment) {
      read_entries(at, (std::min)(at + segment, entries()), rows_);
      for (const std::int64_t row : index_segment_) ++row_starts_[static_cast<std::size_t>(row) + 1];
    }
    for (std::size_t i = 1; i < row_starts_.size(); ++i) row_starts_[i] += row_starts_[i - 1];
    std::vector<std::int64_t> next(row_starts_.begin(), row_starts_.end() - 1);
    row_columns_.resize(static_cast<std::size_t>(entries()));
    row_values_.resize(static_cast<std::size_t>(entries()));
    std::int64_t column = 0;
    for (std::int64_t at = 0; at < entries(); at += segment) {
      const std::int64_t stop = (std::min)(at + segment, entries());
      read_entries(at, stop, rows_);
      for (std::int64_t entry = at; entry < stop; ++entry) {
        while (starts_[static_cast<std::size_t>(column) + 1] <= entry) ++column;
        const auto local = static_cast<std::size_t>(entry - at);
        const auto place = static_cast<std::size_t>(next[static_cast<std::size_t>(index_segment_[local])]++);
        row_columns_[place] = static_cast<std::int32_t>(column);
        row_values_[place] = value_segment_[local];
      }
    }
  }

  const Hdf5File* file_;
  std::string path_;
  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t memory_limit_;
  H5adStorage storage_ = H5adStorage::dense;
  std::vector<Hdf5Dataset> parts_;    ///< data, indices
  std::vector<std::int64_t> starts_;  ///< indptr
  std::vector<std::byte> raw_;
  std::vector<std::int64_t> index_segment_;
  std::vector<double> value_segment_;
  std::vector<std::int64_t> row_starts_;  ///< of the transposed CSC
  std::vector<std::int32_t> row_columns_;
  std::vector<double> row_values_;
};

}  // namespace stofm::io
