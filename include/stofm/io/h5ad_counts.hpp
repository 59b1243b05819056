// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Counts out of a matrix (of an .h5ad file or in memory; no libhdf5 here): every value checked, turned back
/// into counts where they are on another scale, duplicates summed, zeros dropped, columns that are no genes
/// left out.

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/core/with_commas.hpp"
#include "stofm/io/count_places.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io {

/// How the values of a matrix become counts.
struct CountsReading {
  enum class How {
    counts,       ///< they are
    as_they_are,  ///< any value >= 0 stands for a count
    recover,      ///< off `scale`, to whole counts where a cell has a unit
  };
  How how = How::counts;
  CountsScale scale = CountsScale::counts;
  StoredPrecision precision{};
  /// How::counts: whole_tolerance from a whole number is one. `said`: so the slice's notices say already.
  bool round = true, said = false;
  std::int64_t memory_limit = std::int64_t{4} << 30;
};

namespace detail {

/// Refuses a value that is no count. \throws DataError STOFM-3529 (fractional) or STOFM-3530
template <class Matrix>
[[noreturn]] void refuse_value(const Matrix& matrix, std::int64_t row, const std::string& gene, double value,
                               std::int64_t memory_limit) {
  const std::string where = concat(matrix.path(), ", row ", row, ", gene ", stofm::quoted(gene, 60));
  H5adValues values;
  if (value >= 0 && value <= largest_count) {
    values.kind = ValueKind::mostly_whole;
    throw DataError({"STOFM-3529", matrix.source(), where, "the fraction " + number_text(value), "raw counts",
                     remedy_for(matrix, values, memory_limit)});
  }
  const std::string usable = other_counts(matrix, memory_limit);
  throw DataError({"STOFM-3530", matrix.source(), where,
                   value < 0 ? "the negative count " + number_text(value) : number_text(value),
                   "a count of 0 to 2^53",
                   (usable.empty() ? std::string("Mend the matrix")
                                   : "Give raw counts: " + usable + ", or mend the matrix") +
                       ": counts are not negative and not NaN."});
}

}  // namespace detail

/// Rows of a matrix as CountRows.
template <class Matrix>
class H5adCounts {
 public:
  /// \param column_of_gene [columns of the matrix]: the slice's gene column of each one, -1: left out, its
  ///   values are not looked at
  /// \param gene_ids of the slice, for messages
  H5adCounts(Matrix matrix, std::vector<std::int32_t> column_of_gene, std::vector<std::string> gene_ids,
             CountsReading reading)
      : matrix_(std::move(matrix)),
        column_of_gene_(std::move(column_of_gene)),
        gene_ids_(std::move(gene_ids)),
        reading_(reading),
        seen_in_(gene_ids_.size(), -1),
        place_(gene_ids_.size(), 0),
        merged_in_(column_of_gene_.size(), -1) {}

  /// Cells [begin, end) of the file appended to `rows`.
  /// \throws FileError damage; DataError negative, NaN, inf, above 2^53, fractional values among counts, with
  /// row and gene; a cell that is on another scale than the matrix (STOFM-3551)
  void append(std::int64_t begin, std::int64_t end, CountRows& rows) {
    std::int64_t current = begin;
    const auto close_rows = [&](std::int64_t before) {
      for (; current < before; ++current)
        rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
    };
    const auto open_row = [&](std::int64_t row) {
      if (row == current) return;
      close_rows(row);
      ++visit_;
    };
    if (reading_.how == CountsReading::How::recover) {
      detail::visit_cells(
          matrix_, column_of_gene_, begin, end,
          [&](std::int64_t row, std::span<const std::int64_t> columns, std::span<const double> values) {
            open_row(row);
            recover(row, columns, values, rows);
          });
    } else {
      matrix_.visit_rows(begin, end,
                         [&](std::int64_t row, std::span<const std::int64_t> columns,
                             std::span<const double> values, std::int64_t) {
                           open_row(row);
                           for (std::size_t i = 0; i < values.size(); ++i) {
                             const std::size_t column =
                                 columns.empty() ? i : static_cast<std::size_t>(columns[i]);
                             if (column_of_gene_[column] < 0) continue;
                             add(row, column, checked(row, column, values[i]), rows);
                           }
                         });
    }
    close_rows(end);
    ++visit_;
    next_row_ = (std::max)(next_row_, end);
  }

  /// Over the rows streamed so far: entries beyond the first of the same cell and column (STOFM-W3503),
  /// values that were rounded (W3551), cells without a unit (W3553).
  Notices notices() const {
    Notices notices;
    if (duplicates_ > 0)
      notices.push_back({"STOFM-W3503",
                         concat(duplicates_, " entries repeat a gene of their cell; they are summed"),
                         duplicates_});
    if (rounded_ > 0 && !reading_.said)
      notices.push_back({"STOFM-W3551",
                         concat(with_commas(rounded_), " values of ", matrix_.path(),
                                " are whole numbers but for rounding errors; they are rounded"),
                         rounded_});
    if (not_whole_ > 0)
      notices.push_back({"STOFM-W3553",
                         concat(with_commas(not_whole_), " of ", with_commas(recovered_),
                                " cells did not come out as whole counts; they rank by the values as stored"),
                         not_whole_});
    return notices;
  }
  const Matrix& matrix() const { return matrix_; }

 private:
  /// The count that a value stands for, where values need no unit.
  double checked(std::int64_t row, std::size_t column, double value) {
    if (!(value >= 0 && value <= detail::largest_count)) refuse(row, column, value);
    if (reading_.how == CountsReading::How::as_they_are || value == std::floor(value)) return value;
    const double whole = std::nearbyint(value);
    // Near 0 is near a whole number only among values known to be counts: shares of a total are small too.
    if (!reading_.round || std::abs(value - whole) > whole_tolerance(value) || (whole == 0 && !reading_.said))
      refuse(row, column, value);
    rounded_ += row >= next_row_ ? 1 : 0;
    return whole;
  }

  /// One whole cell off the scale of the matrix.
  void recover(std::int64_t row, std::span<const std::int64_t> columns, std::span<const double> values,
               CountRows& rows) {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!(values[i] >= 0 && values[i] <= detail::largest_count))
        refuse(row, static_cast<std::size_t>(columns[i]), values[i]);
    const CellUnit unit = cell_unit(values, reading_.scale, reading_.precision, sorted_, ranges_);
    if (!unit.found && unit.values > 1) require_same_scale(row, values);
    if (row >= next_row_) {
      ++recovered_;
      not_whole_ += unit.exact ? 0 : 1;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double linear = detail::linear_value(reading_.scale, values[i]);
      if (!(linear <= detail::largest_count))
        throw DataError({"STOFM-3551", matrix_.source(), concat(matrix_.path(), ", row ", row),
                         concat("the value ", values[i]), detail::scale_text(reading_.scale) + " of counts",
                         "Give a matrix with all cells on one scale."});
      add(row, static_cast<std::size_t>(columns[i]), unit.found ? std::nearbyint(linear / unit.unit) : linear,
          rows);
    }
  }

  /// Refuses a cell without a unit on the matrix's scale but surely with one on another.
  void require_same_scale(std::int64_t row, std::span<const double> values) {
    for (const CountsScale scale :
         {CountsScale::linear, CountsScale::log1p, CountsScale::log2, CountsScale::log10}) {
      if (scale == reading_.scale) continue;
      const CellUnit unit = cell_unit(values, scale, reading_.precision, sorted_, ranges_);
      if (unit.found && unit.smallest == 1 && unit.log_chance < std::log(1e-6))
        throw DataError({"STOFM-3551", matrix_.source(), concat(matrix_.path(), ", row ", row),
                         detail::recovered_text(scale),
                         detail::recovered_text(reading_.scale) + ", as in the cells looked at before",
                         "Give a matrix with all cells on one scale: " + remedy_for_mixture()});
    }
  }
  std::string remedy_for_mixture() const {
    const std::string usable = detail::other_counts(matrix_, reading_.memory_limit);
    return usable.empty() ? std::string("embed the parts apart.") : usable + ".";
  }

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

  [[noreturn]] void refuse(std::int64_t row, std::size_t column, double value) const {
    detail::refuse_value(matrix_, row, gene_ids_[static_cast<std::size_t>(column_of_gene_[column])], value,
                         reading_.memory_limit);
  }

  Matrix matrix_;
  std::vector<std::int32_t> column_of_gene_;
  std::vector<std::string> gene_ids_;
  CountsReading reading_;
  std::int64_t visit_ = 0;               ///< counts rows visited; marks below are compared with it
  std::vector<std::int64_t> seen_in_;    ///< [genes] visit in which the gene last got a value
  std::vector<std::size_t> place_;       ///< [genes] where that value is
  std::vector<std::int64_t> merged_in_;  ///< [columns] visit in which the column last had an entry
  std::vector<double> sorted_;           ///< room to find units in
  std::vector<detail::ValueRange> ranges_;
  std::int64_t duplicates_ = 0;
  std::int64_t rounded_ = 0;    ///< values
  std::int64_t recovered_ = 0;  ///< cells off another scale, and those of them that did not come out whole
  std::int64_t not_whole_ = 0;
  std::int64_t next_row_ = 0;  ///< rows before have been counted for the notices
};

}  // namespace stofm::io
