// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the values of a matrix are, found out from a look at them (counts_scale.hpp). The matrix is that of
/// an .h5ad file (H5adMatrix) or one in memory (ArrayMatrix); no libhdf5 here.
///
/// All values of a small matrix are looked at, of a large one the first, middle and last 2^20. Where some are
/// fractional, up to 256 whole cells, 16 each at 16 places, vote on the scale (counts_scale_vote.hpp). The
/// rest is checked while it streams (h5ad_counts.hpp).

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/io/counts_scale_vote.hpp"

namespace stofm::io {

/// How far from a whole number a count with rounding errors may be: a thousandth, or a few float32 roundings
/// of a large one. Values of another scale are not all of them as near.
inline double whole_tolerance(double value) { return std::clamp(1e-6 * value, 1e-3, 0.1); }

/// What a look at the stored values shows.
struct H5adValueCheck {
  std::int64_t looked_at = 0;
  std::int64_t positive = 0;
  std::int64_t negative = 0;
  std::int64_t improper = 0;    ///< NaN, inf, above 2^53
  std::int64_t fractional = 0;  ///< of the proper ones
  std::int64_t tiny = 0;        ///< of these, above 0 and within a thousandth of it
  std::int64_t far = 0;         ///< of these, not within whole_tolerance of a whole number
  double minimum = 0;
  double maximum = 0;    ///< of the proper ones
  bool complete = true;  ///< every stored value was looked at

  void look_at(double value) {
    ++looked_at;
    if (!(std::abs(value) <= detail::largest_count)) {
      ++improper;
      return;
    }
    positive += value > 0 ? 1 : 0;
    negative += value < 0 ? 1 : 0;
    fractional += value != std::floor(value) ? 1 : 0;
    tiny += value > 0 && value <= 1e-3 ? 1 : 0;
    far += std::abs(value - std::nearbyint(value)) > whole_tolerance(value) ? 1 : 0;
    minimum = (std::min)(minimum, value);
    maximum = (std::max)(maximum, value);
  }
};

/// What a matrix is good for.
enum class ValueKind {
  empty,         ///< no value above 0
  counts,        ///< whole numbers
  near_counts,   ///< whole numbers with rounding errors
  recovered,     ///< counts come back from them
  mostly_whole,  ///< whole numbers but for a few
  negative,      ///< scaled, residuals, or negative counts
  improper,      ///< NaN, inf, above 2^53
  no_unit,       ///< nothing that is whole: smoothed, imputed, scaled by gene, square roots
};

/// A matrix that was looked at.
struct H5adValues {
  H5adValueCheck check;
  ValueKind kind = ValueKind::counts;
  CountsScale scale = CountsScale::counts;  ///< of `recovered`
  StoredPrecision precision;
  CountsScale other = CountsScale::automatic;  ///< of `no_unit`: some cells are on `scale`, some on this one
  std::int64_t cells = 0;                      ///< looked at for a unit, those without values left out
  std::int64_t whole = 0;                      ///< of these, came out whole
};

namespace detail {

/// visit(row, columns, values) for rows [begin, end), a whole row at once; columns that are no gene
/// (`column_of_gene` below 0; an empty list: all are) and zeros are left out. A row without values is not
/// visited. Memory: one row.
template <class Matrix, class Visit>
void visit_cells(Matrix& matrix, const std::vector<std::int32_t>& column_of_gene, std::int64_t begin,
                 std::int64_t end, Visit&& visit) {
  std::vector<std::int64_t> columns;
  std::vector<double> values;
  std::int64_t current = begin;
  const auto close = [&] {
    if (!values.empty())
      visit(current, std::span<const std::int64_t>(columns), std::span<const double>(values));
    columns.clear();
    values.clear();
  };
  const std::int64_t room = matrix.columns() + (std::int64_t{1} << 20);
  matrix.visit_rows(
      begin, end,
      [&](std::int64_t row, std::span<const std::int64_t> at, std::span<const double> piece,
          std::int64_t first_entry) {
        if (row != current) close();
        current = row;
        for (std::size_t i = 0; i < piece.size(); ++i) {
          const std::int64_t column = at.empty() ? static_cast<std::int64_t>(i) : at[i];
          if (piece[i] == 0 ||
              (!column_of_gene.empty() && column_of_gene[static_cast<std::size_t>(column)] < 0))
            continue;
          columns.push_back(column);
          values.push_back(piece[i]);
        }
        if (static_cast<std::int64_t>(values.size()) > room)
          throw FileError({"STOFM-3514", matrix.source(), concat(matrix.path(), ", row ", row),
                           concat(values.size(), " entries and more, up to entry ", first_entry),
                           concat("one a column, of ", matrix.columns()),
                           "Sum duplicates and write the file again."});
      });
  close();
}

/// [begin, end) of `lines`: all of them in pieces, or first, middle and last piece.
inline std::vector<std::pair<std::int64_t, std::int64_t>> looked_at_pieces(std::int64_t lines,
                                                                           std::int64_t piece) {
  std::vector<std::pair<std::int64_t, std::int64_t>> pieces;
  if (lines > 3 * piece) {
    const std::int64_t middle = (lines - piece) / 2;
    return {{0, piece}, {middle, middle + piece}, {lines - piece, lines}};
  }
  for (std::int64_t at = 0; at < lines; at += piece) pieces.emplace_back(at, (std::min)(lines, at + piece));
  return pieces;
}

/// Error of the stored type, half an ulp.
inline StoredPrecision precision_of(std::int64_t value_bytes) {
  if (value_bytes == 2) return {0x1p-11, 0x1p-25};
  if (value_bytes == 4) return {0x1p-24, 0};
  return {0x1p-53, 0};
}

/// Values of up to 256 cells, evenly spread, and at most about 2^20 of them.
template <class Matrix>
std::vector<std::vector<double>> sample_cells(Matrix& matrix,
                                              const std::vector<std::int32_t>& column_of_gene) {
  constexpr std::int64_t places = 16, run = 16, room = (std::int64_t{1} << 20) / places;
  std::vector<std::vector<double>> cells;
  const std::int64_t rows = matrix.rows();
  const bool all = rows <= places * run;
  for (std::int64_t place = 0; place < (all ? 1 : places); ++place) {
    const std::int64_t first = all ? 0 : place * (rows - run) / (places - 1);
    const std::int64_t last = all ? rows : first + run;
    std::int64_t taken = 0;
    for (std::int64_t row = first; row < last && taken < (all ? room * places : room); ++row)
      visit_cells(matrix, column_of_gene, row, row + 1, [&](std::int64_t, auto, auto values) {
        cells.emplace_back(values.begin(), values.end());
        taken += static_cast<std::int64_t>(values.size());
      });
  }
  return cells;
}

}  // namespace detail

/// Looks at `matrix`. \param column_of_gene below 0: a column that is no gene and is not looked at; empty:
/// all are \throws FileError damage. *Cost* see above; a CSC matrix with fractional values is transposed.
template <class Matrix>
H5adValues look_at_values(Matrix& matrix, const std::vector<std::int32_t>& column_of_gene,
                          CountsScale forced = CountsScale::automatic) {
  H5adValues values;
  H5adValueCheck& check = values.check;
  constexpr std::int64_t budget = std::int64_t{1} << 20;
  const bool all_genes =
      std::none_of(column_of_gene.begin(), column_of_gene.end(), [](std::int32_t gene) { return gene < 0; });
  if (all_genes) {
    const std::int64_t lines = matrix.lines();
    const std::int64_t width = (std::max<std::int64_t>)(1, matrix.line_width());
    const std::int64_t piece = (std::max<std::int64_t>)(1, budget / width);
    check.complete = lines <= 3 * piece;
    for (const auto& [begin, end] : detail::looked_at_pieces(lines, piece))
      for (const double value : matrix.stored_values(begin, end)) check.look_at(value);
  } else {
    const std::int64_t mean = matrix.entries() / (std::max<std::int64_t>)(1, matrix.rows()) + 1;
    const std::int64_t piece = (std::max<std::int64_t>)(1, budget / mean);
    check.complete = matrix.rows() <= 3 * piece;
    for (const auto& [begin, end] : detail::looked_at_pieces(matrix.rows(), piece))
      detail::visit_cells(matrix, column_of_gene, begin, end, [&check](std::int64_t, auto, auto cell) {
        for (const double value : cell) check.look_at(value);
      });
  }
  values.precision = detail::precision_of(matrix.value_bytes());
  if (check.negative > 0) {
    values.kind = ValueKind::negative;
  } else if (check.improper > 0) {
    values.kind = ValueKind::improper;
  } else if (check.positive == 0) {
    values.kind = check.complete ? ValueKind::empty : ValueKind::counts;
  } else if (check.fractional == 0) {
    values.kind = ValueKind::counts;
  } else if (check.far == 0 && check.tiny * 2 < check.positive) {  // shares of a total are near 0 as well
    values.kind = ValueKind::near_counts;
  } else if ((check.far + check.tiny) * 100 < check.positive) {
    values.kind = ValueKind::mostly_whole;
  } else {
    const auto cells = detail::sample_cells(matrix, column_of_gene);
    H5adValueCheck more;
    for (const auto& cell : cells)
      for (const double value : cell) more.look_at(value);
    if (more.negative > 0 || more.improper > 0) {
      values.kind = more.negative > 0 ? ValueKind::negative : ValueKind::improper;
      check.minimum = (std::min)(check.minimum, more.minimum);
      check.negative += more.negative;
      check.improper += more.improper;
    } else {
      const ScaleVerdict verdict = vote_on_scale(cells, values.precision, forced);
      values.kind = verdict.carried ? ValueKind::recovered : ValueKind::no_unit;
      values.scale = verdict.scale;
      values.other = verdict.other;
      values.precision = verdict.precision;
      values.whole = verdict.whole;
      values.cells = static_cast<std::int64_t>(cells.size());
    }
  }
  return values;
}

}  // namespace stofm::io
