// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A matrix of counts in someone else's memory, dense or CSR, visited row by row: nothing is copied but the
/// row at hand. It answers what H5adMatrix answers, so that values in memory are read as those of a file are.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/io/count_places.hpp"
#include "stofm/io/dtype.hpp"

namespace stofm::io {

/// Numbers in memory that outlives whatever is made of them; in the machine's byte order, at any address.
struct NumberArray {
  const void* data = nullptr;
  Dtype dtype = Dtype::f32;
  std::int64_t count = 0;
};

namespace detail {

/// T read from elements `first`, `first + step`, ... of an array. No conversion is refused.
template <class Stored, class T>
void copy_numbers_as(const void* data, std::int64_t first, std::int64_t step, std::span<T> out) {
  const auto* from = static_cast<const unsigned char*>(data) + first * std::int64_t{sizeof(Stored)};
  for (T& value : out) {
    Stored stored;
    std::memcpy(&stored, from, sizeof stored);
    value = static_cast<T>(stored);
    from += step * std::int64_t{sizeof(Stored)};
  }
}

template <class T>
void copy_numbers(const NumberArray& array, std::int64_t first, std::int64_t step, std::span<T> out) {
  switch (array.dtype) {
    case Dtype::boolean:
    case Dtype::u8:
      return copy_numbers_as<std::uint8_t>(array.data, first, step, out);
    case Dtype::i8:
      return copy_numbers_as<std::int8_t>(array.data, first, step, out);
    case Dtype::u16:
      return copy_numbers_as<std::uint16_t>(array.data, first, step, out);
    case Dtype::i16:
      return copy_numbers_as<std::int16_t>(array.data, first, step, out);
    case Dtype::u32:
      return copy_numbers_as<std::uint32_t>(array.data, first, step, out);
    case Dtype::i32:
      return copy_numbers_as<std::int32_t>(array.data, first, step, out);
    case Dtype::u64:
      return copy_numbers_as<std::uint64_t>(array.data, first, step, out);
    case Dtype::i64:
      return copy_numbers_as<std::int64_t>(array.data, first, step, out);
    case Dtype::f32:
      return copy_numbers_as<float>(array.data, first, step, out);
    case Dtype::f64:
      return copy_numbers_as<double>(array.data, first, step, out);
    case Dtype::bf16:
      return copy_numbers_as<bfloat16>(array.data, first, step, out);
    case Dtype::f16: {
      const auto* from = static_cast<const unsigned char*>(array.data) + 2 * first;
      for (T& value : out) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, from, sizeof bits);
        value = static_cast<T>(half_to_float(bits));
        from += 2 * step;
      }
      return;
    }
  }
}

}  // namespace detail

class ArrayMatrix;

/// Another matrix of the same cells, for messages: "layers[\"counts\"]" with the option that chooses it.
struct CountsBeside {
  std::string name, option;
  std::shared_ptr<const ArrayMatrix> matrix;
};

/// What an ArrayMatrix is made of. Without `starts` it is dense, and `values` are [rows, columns] at strides.
struct ArrayMatrixParts {
  std::string source;  ///< for messages: "adata"
  std::string path;    ///< "X", "layers/counts", "raw/X"
  std::int64_t rows = 0, columns = 0;
  NumberArray values{};
  NumberArray indices{};                           ///< CSR: the column of each value
  NumberArray starts{};                            ///< CSR: [rows + 1], where rows begin and end
  std::int64_t row_stride = 0, column_stride = 1;  ///< dense, in elements
  std::vector<CountsBeside> beside{};              ///< where counts may be as well
  CountsScale log_hint = CountsScale::automatic;   ///< the logarithm that was noted down
  std::int64_t genes_of_raw = 0;                   ///< of raw, where that is another matrix
};

class ArrayMatrix {
 public:
  /// \throws FileError (STOFM-3512, 3514) parts of a CSR matrix that do not fit each other. *Cost* one pass
  /// over its starts.
  explicit ArrayMatrix(ArrayMatrixParts parts) : parts_(std::move(parts)) {
    if (is_csr()) check_csr();
  }

  const std::string& source() const { return parts_.source; }
  const std::string& path() const { return parts_.path; }
  const ArrayMatrixParts& parts() const { return parts_; }
  std::int64_t rows() const { return parts_.rows; }
  std::int64_t columns() const { return parts_.columns; }
  /// Stored entries: of a dense matrix all.
  std::int64_t entries() const { return is_csr() ? start(rows()) : checked_mul(rows(), columns()); }
  /// What stored_values() counts in: entries of a CSR matrix, rows of a dense one.
  std::int64_t lines() const { return is_csr() ? entries() : rows(); }
  std::int64_t line_width() const { return is_csr() ? 1 : columns(); }
  std::int64_t value_bytes() const { return dtype_bytes(parts_.values.dtype); }

  /// Values as stored, [begin, end) of the entries of a CSR matrix or of the rows of a dense one.
  std::vector<double> stored_values(std::int64_t begin, std::int64_t end) const {
    std::vector<double> values(static_cast<std::size_t>(checked_mul(end - begin, line_width())));
    if (is_csr()) {
      detail::copy_numbers(parts_.values, begin, 1, std::span<double>(values));
      return values;
    }
    for (std::int64_t row = begin; row < end; ++row)
      read_dense(row, std::span<double>(values).subspan(static_cast<std::size_t>((row - begin) * columns()),
                                                        static_cast<std::size_t>(columns())));
    return values;
  }

  /// As H5adMatrix::visit_rows: visit(row, columns, values, first_entry); a row at once.
  /// \throws FileError (STOFM-3513) an index out of range
  template <class Visit>
  void visit_rows(std::int64_t begin, std::int64_t end, Visit&& visit) {
    for (std::int64_t row = begin; row < end; ++row) {
      if (!is_csr()) {
        values_.resize(static_cast<std::size_t>(columns()));
        read_dense(row, values_);
        visit(row, std::span<const std::int64_t>{}, std::span<const double>(values_), row * columns());
        continue;
      }
      const std::int64_t from = start(row), count = start(row + 1) - from;
      if (count == 0) continue;
      indices_.resize(static_cast<std::size_t>(count));
      values_.resize(static_cast<std::size_t>(count));
      detail::copy_numbers(parts_.indices, from, 1, std::span<std::int64_t>(indices_));
      detail::copy_numbers(parts_.values, from, 1, std::span<double>(values_));
      for (const std::int64_t index : indices_)
        if (index < 0 || index >= columns())
          fail("STOFM-3513", " indices", concat("row ", row, ": column ", index),
               concat("0 to ", columns() - 1));
      visit(row, std::span<const std::int64_t>(indices_), std::span<const double>(values_), from);
    }
  }

 private:
  bool is_csr() const { return parts_.starts.data != nullptr; }

  std::int64_t start(std::int64_t row) const {
    std::int64_t value = 0;
    detail::copy_numbers(parts_.starts, row, 1, std::span<std::int64_t>(&value, 1));
    return value;
  }
  void read_dense(std::int64_t row, std::span<double> out) const {
    detail::copy_numbers(parts_.values, row * parts_.row_stride, parts_.column_stride, out);
  }

  [[noreturn]] void fail(const char* code, const char* part, std::string found, std::string expected) const {
    throw FileError({code, parts_.source, parts_.path + part, std::move(found), std::move(expected),
                     "Make the matrix again."});
  }
  void check_csr() const {
    if (parts_.starts.count != rows() + 1)
      fail("STOFM-3512", " indptr", concat(parts_.starts.count, " entries"),
           concat(rows() + 1, ": one a row, and one"));
    if (is_real(parts_.indices.dtype) || is_real(parts_.starts.dtype))
      fail("STOFM-3512", " indptr and indices", "fractions", "integers");
    if (start(0) != 0) fail("STOFM-3512", " indptr", concat("a start at ", start(0)), "0");
    for (std::int64_t row = 0; row < rows(); ++row)
      if (start(row + 1) < start(row))
        fail("STOFM-3512", " indptr",
             concat("row ", row, " ends at ", start(row + 1), " before it starts at ", start(row)),
             "an increasing list");
    if (start(rows()) > parts_.values.count || start(rows()) > parts_.indices.count)
      fail("STOFM-3514", " indptr", concat("a last row that ends at ", start(rows())),
           concat("at most ", (std::min)(parts_.values.count, parts_.indices.count),
                  ", the number of entries"));
  }

  ArrayMatrixParts parts_;
  std::vector<std::int64_t> indices_;  ///< of the row at hand
  std::vector<double> values_;
};

/// What count_places.hpp asks of a matrix.
inline std::vector<detail::CountPlace> count_places(const ArrayMatrix& matrix, std::int64_t) {
  std::vector<detail::CountPlace> places;
  for (const CountsBeside& other : matrix.parts().beside) {
    try {
      ArrayMatrix looked_at = *other.matrix;
      places.push_back({other.name, other.option, looked_at.columns(), look_at_values(looked_at, {})});
    } catch (const Error&) {
      continue;  // its own trouble is not what the user asked about
    }
  }
  std::stable_sort(places.begin(), places.end(),
                   [](const detail::CountPlace& a, const detail::CountPlace& b) { return a.is_before(b); });
  return places;
}
inline CountsScale log_hint(const ArrayMatrix& matrix) { return matrix.parts().log_hint; }
inline std::int64_t genes_of_raw(const ArrayMatrix& matrix, std::int64_t) {
  return matrix.parts().genes_of_raw;
}

}  // namespace stofm::io
