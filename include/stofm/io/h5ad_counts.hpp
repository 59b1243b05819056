// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Counts out of an H5adMatrix: every value checked, duplicates summed, zeros dropped, gene columns merged.

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_matrix.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io {

/// What a look at the stored values shows.
struct H5adValueCheck {
  std::int64_t looked_at = 0;
  std::int64_t fractional = 0;
  std::int64_t positive = 0;
  double maximum = 0;
  bool complete = true;  ///< every stored value was looked at
};

/// Looks at all values of a small matrix, or at the first, middle and last 2^20 of a large one.
inline H5adValueCheck check_values(H5adMatrix& matrix) {
  const std::int64_t lines = matrix.values().dim(0);
  const std::int64_t width = matrix.values().rank() == 2 ? (std::max<std::int64_t>)(1, matrix.columns()) : 1;
  const std::int64_t piece = (std::max<std::int64_t>)(1, (std::int64_t{1} << 20) / width);
  std::vector<std::pair<std::int64_t, std::int64_t>> pieces;
  H5adValueCheck check;
  check.complete = lines <= 3 * piece;
  if (check.complete) {
    for (std::int64_t at = 0; at < lines; at += piece) pieces.emplace_back(at, (std::min)(lines, at + piece));
  } else {
    const std::int64_t middle = (lines - piece) / 2;
    pieces = {{0, piece}, {middle, middle + piece}, {lines - piece, lines}};
  }
  for (const auto& [begin, end] : pieces) {
    for (const double value : matrix.stored_values(begin, end)) {
      ++check.looked_at;
      check.fractional += std::isfinite(value) && value != std::floor(value) ? 1 : 0;
      check.positive += value > 0 ? 1 : 0;
      if (value > check.maximum) check.maximum = value;
    }
  }
  return check;
}

/// Rows of a matrix as CountRows.
class H5adCounts {
 public:
  /// \param column_of_gene [columns of the matrix]: the slice's gene column each one adds to
  /// \param gene_ids of the slice, for messages
  H5adCounts(H5adMatrix matrix, std::vector<std::int32_t> column_of_gene, std::vector<std::string> gene_ids,
             bool accept_noninteger, std::string file)
      : matrix_(std::move(matrix)),
        column_of_gene_(std::move(column_of_gene)),
        gene_ids_(std::move(gene_ids)),
        accept_noninteger_(accept_noninteger),
        file_(std::move(file)),
        seen_in_(gene_ids_.size(), -1),
        place_(gene_ids_.size(), 0),
        merged_in_(column_of_gene_.size(), -1) {}

  /// Cells [begin, end) of the file appended to `rows`.
  /// \throws FileError damage; DataError negative, NaN, inf, above 2^53, or fractional values, with row and
  /// gene
  void append(std::int64_t begin, std::int64_t end, CountRows& rows) {
    std::int64_t current = begin;
    const auto close_rows = [&](std::int64_t before) {
      for (; current < before; ++current)
        rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
    };
    matrix_.visit_rows(
        begin, end,
        [&](std::int64_t row, std::span<const std::int64_t> columns, std::span<const double> values,
            std::int64_t) {
          if (row != current) {
            close_rows(row);
            ++visit_;
          }
          for (std::size_t i = 0; i < values.size(); ++i) {
            const std::size_t column = columns.empty() ? i : static_cast<std::size_t>(columns[i]);
            const double value = values[i];
            if (!(value >= 0 && value <= largest) || (value != std::floor(value) && !accept_noninteger_))
              fail(row, column, value);
            add(row, column, value, rows);
          }
        });
    close_rows(end);
    ++visit_;
    next_row_ = (std::max)(next_row_, end);
  }

  /// Entries beyond the first of the same cell and column, over the rows streamed so far.
  std::int64_t duplicates() const { return duplicates_; }
  const H5adMatrix& matrix() const { return matrix_; }

 private:
  static constexpr double largest = 9007199254740992.0;  // 2^53: integers above are not exact

  void add(std::int64_t row, std::size_t column, double value, CountRows& rows) {
    const auto gene = static_cast<std::size_t>(column_of_gene_[column]);
    if (merged_in_[column] == visit_) duplicates_ += row >= next_row_ ? 1 : 0;
    merged_in_[column] = visit_;
    if (value == 0) return;
    if (seen_in_[gene] == visit_) {
      rows.values[place_[gene]] += value;
      return;
    }
    seen_in_[gene] = visit_;
    place_[gene] = rows.values.size();
    rows.columns.push_back(static_cast<std::int32_t>(gene));
    rows.values.push_back(value);
  }

  [[noreturn]] void fail(std::int64_t row, std::size_t column, double value) const {
    const std::string gene = stofm::quoted(gene_ids_[static_cast<std::size_t>(column_of_gene_[column])], 60);
    const std::string where = concat(matrix_.path(), ", row ", row, ", gene ", gene);
    if (value >= 0 && value <= largest)
      throw DataError({"STOFM-3529", file_, where, concat("the fraction ", value), "raw counts",
                       "Give raw counts (--layer, --use-raw), or accept these with --accept-noninteger."});
    throw DataError({"STOFM-3530", file_, where,
                     value < 0 ? concat("the negative count ", value) : concat(value), "a count of 0 to 2^53",
                     "Mend the matrix: counts are not negative and not NaN."});
  }

  H5adMatrix matrix_;
  std::vector<std::int32_t> column_of_gene_;
  std::vector<std::string> gene_ids_;
  bool accept_noninteger_;
  std::string file_;
  std::int64_t visit_ = 0;               ///< counts rows visited; marks below are compared with it
  std::vector<std::int64_t> seen_in_;    ///< [genes] visit in which the gene last got a value
  std::vector<std::size_t> place_;       ///< [genes] where that value is
  std::vector<std::int64_t> merged_in_;  ///< [columns] visit in which the column last had an entry
  std::int64_t duplicates_ = 0;
  std::int64_t next_row_ = 0;  ///< rows before have been counted for duplicates
};

}  // namespace stofm::io
