// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What cells of each type express on the mean, from a labelled reference of any technology, with or without
/// positions.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// Signatures of cell types. Rare ones can be dropped: set their `cells` to 0.
struct CellTypeProfiles {
  Tensor<double> rates;             ///< [types, genes]: mean share of a gene in the counts of a cell
  std::vector<double> cell_counts;  ///< [types]: mean counts of a cell
  std::vector<std::int64_t> cells;  ///< [types]: cells that were seen; 0: the type is never found
  std::vector<double>
      cell_spread;  ///< [types]: standard deviation over mean of a cell's counts; may be empty

  std::int64_t types() const { return rates.dim(0); }
  std::int64_t genes() const { return rates.dim(1); }
};

/// Sums over a reference, block of cells by block of cells.
class CellTypeSums {
 public:
  /// \throws UsageError STOFM-4730 unless there is a type and a gene.
  CellTypeSums(std::int64_t types, std::int64_t genes)
      : rates_(
            Tensor<double>::zeros({(std::max<std::int64_t>)(types, 0), (std::max<std::int64_t>)(genes, 0)})),
        counts_(static_cast<std::size_t>((std::max<std::int64_t>)(types, 0)), 0.0),
        squares_(counts_.size(), 0.0),
        cells_(counts_.size(), 0),
        filled_(counts_.size(), 0) {
    if (types < 1 || genes < 1)
      throw UsageError({"STOFM-4730", "", "[cell_type_profiles]", concat(types, " types, ", genes, " genes"),
                        "at least one of each", "Give a reference with labels, on genes that are shared."});
  }

  /// Adds cells; `labels` [rows]: type of each in [0, types), or -1 for a cell that is left out. Cells
  /// without counts count as cells but have no shares. \throws ShapeError for another number of labels
  /// (STOFM-4700) or a column out of range (4731); DataError for a label out of range (4702) or a count that
  /// is negative or not finite (4732). *Cost* O(entries).
  void add(const io::CountRows& counts, std::span<const std::int32_t> labels) {
    constexpr const char* op = "[cell_type_profiles]";
    detail::require_same_count(op, static_cast<std::size_t>(counts.rows()), labels.size(), "rows and labels");
    const std::int64_t genes = rates_.dim(1);
    for (std::int64_t i = 0; i < counts.rows(); ++i) {
      const std::int32_t label = labels[static_cast<std::size_t>(i)];
      if (label < -1 || label >= rates_.dim(0))
        throw DataError(
            {"STOFM-4702", "", concat(op, " cell ", counts.first_row + i), concat("label ", label),
             concat("a label in [0, ", rates_.dim(0), "), or -1 for none"), "Number the types from 0."});
      const auto begin = static_cast<std::size_t>(counts.offsets[static_cast<std::size_t>(i)]),
                 end = static_cast<std::size_t>(counts.offsets[static_cast<std::size_t>(i) + 1]);
      const double total = checked_total(counts, begin, end, genes, i);
      if (label < 0) continue;
      const auto type = static_cast<std::size_t>(label);
      ++cells_[type];
      counts_[type] += total;
      squares_[type] += total * total;
      if (!(total > 0)) continue;
      ++filled_[type];
      double* rates = rates_.data() + label * genes;
      for (std::size_t e = begin; e < end; ++e) rates[counts.columns[e]] += counts.values[e] / total;
    }
  }

  /// The means so far.
  CellTypeProfiles profiles() const {
    CellTypeProfiles result{rates_.clone(), counts_, cells_, std::vector<double>(cells_.size(), 0.0)};
    for (std::size_t t = 0; t < cells_.size(); ++t) {
      if (cells_[t] > 0) result.cell_counts[t] /= static_cast<double>(cells_[t]);
      const double mean = result.cell_counts[t];
      if (mean > 0)
        result.cell_spread[t] =
            std::sqrt((std::max)(0.0, squares_[t] / static_cast<double>(cells_[t]) - mean * mean)) / mean;
      if (filled_[t] == 0) {
        result.cells[t] = 0;
        continue;
      }
      double* rates = result.rates.data() + static_cast<std::int64_t>(t) * rates_.dim(1);
      for (std::int64_t g = 0; g < rates_.dim(1); ++g) rates[g] /= static_cast<double>(filled_[t]);
    }
    return result;
  }

  /// Sum of entries [begin, end) of one row, checked.
  static double checked_total(const io::CountRows& counts, std::size_t begin, std::size_t end,
                              std::int64_t genes, std::int64_t row) {
    double total = 0;
    for (std::size_t e = begin; e < end; ++e) {
      if (counts.columns[e] < 0 || counts.columns[e] >= genes)
        throw ShapeError({"STOFM-4731", "", concat("[counts] row ", counts.first_row + row),
                          concat("gene ", counts.columns[e]), concat("one in [0, ", genes, ")"),
                          "Map both sides to the shared genes first."});
      if (!(counts.values[e] >= 0) || !std::isfinite(counts.values[e]))
        throw DataError({"STOFM-4732", "", concat("[counts] row ", counts.first_row + row),
                         concat(counts.values[e]), "counts >= 0", "Give raw counts."});
      total += counts.values[e];
    }
    return total;
  }

 private:
  Tensor<double> rates_;
  std::vector<double> counts_, squares_;
  std::vector<std::int64_t> cells_, filled_;
};

}  // namespace stofm::tasks
