// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Log-normalised counts of chosen genes, sparse: a slice of 36,000 cells and 19,000 genes is never dense.
///
///     x_g = log1p(target count_g / sum over the chosen genes of count)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/progress.hpp"

namespace stofm::tasks {

/// Rows of a sparse matrix, columns ascending in a row.
struct SparseRows {
  std::vector<std::int64_t> offsets{0};  ///< [rows + 1]
  std::vector<std::int32_t> columns;     ///< [entries]
  std::vector<float> values;             ///< [entries]
  std::int64_t width = 0;                ///< number of columns

  std::int64_t rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

/// Counts of genes: `gene_of` [columns of the slice] says which of `genes` a column is, -1: none; columns of
/// one gene are added up. \throws as the reader; ShapeError (STOFM-4752) where gene_of does not fit;
/// DataError (4753) for a count that is negative or not finite. *Cost* one pass over the counts; 8 bytes an
/// entry.
inline SparseRows gene_counts(const io::Slice& slice, std::span<const std::int32_t> gene_of,
                              std::int64_t genes, const pipeline::Progress& progress = {}) {
  if (static_cast<std::int64_t>(gene_of.size()) != slice.genes())
    throw ShapeError({"STOFM-4752", slice.path, "[gene_counts]", concat(gene_of.size(), " columns"),
                      concat(slice.genes(), ", one per gene of the slice"),
                      "Match the genes of this slice."});
  SparseRows result;
  result.width = genes;
  std::vector<double> sum(static_cast<std::size_t>(genes), 0.0);
  std::vector<std::int32_t> touched;
  constexpr std::int64_t block = 1024;
  progress.report("counts", 0, slice.cells, "cells");
  for (std::int64_t begin = 0; begin < slice.cells; begin += block) {
    const std::int64_t end = (std::min)(slice.cells, begin + block);
    const io::CountRows rows = io::read_count_rows(slice, begin, end);
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows.rows()); ++r) {
      touched.clear();
      for (auto e = static_cast<std::size_t>(rows.offsets[r]);
           e < static_cast<std::size_t>(rows.offsets[r + 1]); ++e) {
        const std::int32_t column = rows.columns[e];
        if (column < 0 || column >= slice.genes() || !std::isfinite(rows.values[e]) || rows.values[e] < 0)
          throw DataError({"STOFM-4753", slice.path, concat("cell ", begin + static_cast<std::int64_t>(r)),
                           concat("count ", rows.values[e], " in column ", column),
                           "a finite count >= 0 in a column of the slice", "Give raw counts."});
        const std::int32_t gene = gene_of[static_cast<std::size_t>(column)];
        if (gene < 0 || rows.values[e] == 0) continue;
        if (sum[static_cast<std::size_t>(gene)] == 0) touched.push_back(gene);
        sum[static_cast<std::size_t>(gene)] += rows.values[e];
      }
      std::sort(touched.begin(), touched.end());
      for (const std::int32_t gene : touched) {
        result.columns.push_back(gene);
        result.values.push_back(static_cast<float>(sum[static_cast<std::size_t>(gene)]));
        sum[static_cast<std::size_t>(gene)] = 0;
      }
      result.offsets.push_back(static_cast<std::int64_t>(result.columns.size()));
    }
    progress.report("counts", end, slice.cells, "cells");
  }
  return result;
}

/// Sum of each row.
inline std::vector<double> row_totals(const SparseRows& rows) {
  std::vector<double> totals(static_cast<std::size_t>(rows.rows()), 0.0);
  parallel_for(rows.rows(), 1024, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      for (auto e = static_cast<std::size_t>(rows.offsets[i]);
           e < static_cast<std::size_t>(rows.offsets[i + 1]); ++e)
        totals[i] += static_cast<double>(rows.values[e]);
  });
  return totals;
}

/// Median of the totals above 0 of all slices together (of an even number the mean of the two in the middle);
/// 1 where there are none.
inline double median_total(std::span<const SparseRows> slices) {
  std::vector<double> all;
  for (const SparseRows& rows : slices)
    for (const double total : row_totals(rows))
      if (total > 0) all.push_back(total);
  if (all.empty()) return 1;
  std::sort(all.begin(), all.end());
  const std::size_t middle = all.size() / 2;
  return all.size() % 2 == 1 ? all[middle] : 0.5 * (all[middle - 1] + all[middle]);
}

/// Counts into log-normalised counts, in place. Rows without a count stay empty. *Cost* a log1p an entry,
/// parallel. \return number of rows without a count
inline std::int64_t log_normalise(SparseRows& rows, double target) {
  const std::vector<double> totals = row_totals(rows);
  parallel_for(rows.rows(), 256, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      for (auto e = static_cast<std::size_t>(rows.offsets[i]);
           e < static_cast<std::size_t>(rows.offsets[i + 1]); ++e)
        rows.values[e] =
            static_cast<float>(std::log1p(target * (static_cast<double>(rows.values[e]) / totals[i])));
  });
  return std::count(totals.begin(), totals.end(), 0.0);
}

/// The same rows, dense: [rows, width]. *Cost* 4 rows width bytes.
inline Tensor<float> dense_rows(const SparseRows& rows) {
  checked_mul(rows.rows(), rows.width, "genes of all cells");
  auto dense = Tensor<float>::zeros({rows.rows(), rows.width});
  parallel_for(rows.rows(), 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (auto e = static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(i)]);
           e < static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(i) + 1]); ++e)
        dense.data()[i * rows.width + rows.columns[e]] = rows.values[e];
  });
  return dense;
}

}  // namespace stofm::tasks
