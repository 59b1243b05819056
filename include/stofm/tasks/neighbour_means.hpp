// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Means over the cells that lie nearest to a cell, never over the border of a slice or a library.

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/cluster/knn_2d.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed_plan.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// For each cell the means of `rows` [cells, C] over its nearest `counts` (ascending, >= 1) other cells of
/// its library, one block of C columns a count: [cells, C counts]. Ties: the lowest index; a library of fewer
/// cells has fewer neighbours, a single cell stands for its own surroundings. \throws ShapeError
/// (STOFM-4704, 4700); UsageError for counts that do not ascend from 1 (4706); DataError for a place that is
/// not finite. *Cost* O(N log N + N k C), k the last count; memory 12 N k bytes. *Deterministic* yes, any
/// thread count.
inline Tensor<float> neighbour_means(const io::Slice& slice, TensorView<const float> rows,
                                     std::span<const std::int64_t> counts) {
  constexpr const char* op = "[neighbour_means]";
  detail::require_rows(op, rows);
  detail::require_same_count(op, static_cast<std::size_t>(rows.dim(0)), static_cast<std::size_t>(slice.cells),
                             "rows and cells");
  for (std::size_t r = 0; r < counts.size(); ++r)
    if (counts[r] < 1 || (r > 0 && counts[r] <= counts[r - 1]))
      throw UsageError({"STOFM-4706", "", op, concat("a count of ", counts[r], " neighbours"),
                        "ascending counts from 1", "Give numbers of neighbours."});
  const std::int64_t width = rows.dim(1), rings = static_cast<std::int64_t>(counts.size());
  Tensor<float> means({slice.cells, width * rings});
  if (rings == 0 || slice.cells == 0) return means;
  const Tensor<double> places = slice.coordinates.contiguous();
  for (const std::vector<std::int64_t>& listed : pipeline::detail::library_cells(slice)) {
    const bool whole = listed.empty();
    if (whole && slice.library_names.size() > 1) continue;
    const Tensor<double> xy = whole ? places : pipeline::detail::gather_rows(places, listed);
    const cluster::Neighbours2d near =
        cluster::nearest_neighbours_2d(std::as_const(xy).view(), (std::min)(counts.back(), xy.dim(0) - 1));
    const auto cell = [&](std::int64_t i) { return whole ? i : listed[static_cast<std::size_t>(i)]; };
    parallel_for(xy.dim(0), 128, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> sum(static_cast<std::size_t>(width));
      for (std::int64_t i = begin; i < end; ++i) {
        std::fill(sum.begin(), sum.end(), 0.0);
        std::int64_t taken = 0;
        for (std::int64_t r = 0; r < rings; ++r) {
          const std::int64_t last = (std::min)(counts[static_cast<std::size_t>(r)], near.k);
          for (; taken < last; ++taken) {
            const float* row = rows.row(cell(near.indices[static_cast<std::size_t>(i * near.k + taken)]));
            for (std::int64_t j = 0; j < width; ++j)
              sum[static_cast<std::size_t>(j)] += static_cast<double>(row[j]);
          }
          float* out = means.data() + (cell(i) * rings + r) * width;
          for (std::int64_t j = 0; j < width; ++j)
            out[j] = taken > 0
                         ? static_cast<float>(sum[static_cast<std::size_t>(j)] / static_cast<double>(taken))
                         : rows.row(cell(i))[j];
        }
      }
    });
  }
  return means;
}

}  // namespace stofm::tasks
