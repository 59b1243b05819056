// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Do cells that lie beside each other have the same label?
///
///     coherence = mean over cells of (cells with its label among its k nearest) / k
///
/// 1: regions without a border; `by_chance`: what labels strewn at random would give.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "stofm/cluster/knn_2d.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

struct SpatialCoherence {
  double mean = 0;
  double by_chance = 0;          ///< expected share for labels in random order
  std::int64_t k = 0;            ///< neighbours looked at: what was asked for, or cells - 1
  std::vector<double> by_label;  ///< mean over the cells of each label; NaN for a label without cells
};

/// Coherence of `labels` [N] (from 0) at the places `xy` [N, 2] of one slice. Several slices: one call each.
/// Neighbours at equal distance: the lowest index counts. \throws ShapeError (STOFM-4700, 1201 to 1205);
/// UsageError for k < 1 (4706); DataError for fewer than two cells (4701), a negative label (4702), a place
/// that is not finite. *Cost* O(N log N + N k). *Deterministic* yes, any thread count.
inline SpatialCoherence spatial_coherence(TensorView<const double> xy, std::span<const std::int32_t> labels,
                                          std::int64_t k = 10) {
  constexpr const char* op = "[spatial_coherence]";
  if (k < 1)
    throw UsageError({"STOFM-4706", "", op, concat("k = ", k), "k >= 1", "Give a number of neighbours."});
  if (xy.rank() == 2)
    detail::require_same_count(op, static_cast<std::size_t>(xy.dim(0)), labels.size(), "places and labels");
  detail::require_some(op, labels.size());
  detail::require_labels(op, labels);
  if (labels.size() < 2)
    throw DataError({"STOFM-4701", "", op, "one cell", "at least two", "A single cell has no neighbours."});
  const cluster::Neighbours2d nearest = cluster::nearest_neighbours_2d(xy, k);
  SpatialCoherence result;
  result.k = nearest.k;
  std::int32_t largest = 0;
  for (const std::int32_t label : labels) largest = (std::max)(largest, label);
  std::vector<std::int64_t> same(static_cast<std::size_t>(largest) + 1, 0), cells(same.size(), 0);
  const auto width = static_cast<std::size_t>(nearest.k);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto own = static_cast<std::size_t>(labels[i]);
    ++cells[own];
    for (std::size_t e = i * width; e < (i + 1) * width; ++e)
      same[own] += labels[static_cast<std::size_t>(nearest.indices[e])] == labels[i];
  }
  const auto n = static_cast<double>(labels.size()), wide = static_cast<double>(nearest.k);
  std::int64_t total = 0;
  result.by_label.assign(same.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t c = 0; c < same.size(); ++c) {
    if (cells[c] == 0) continue;
    total += same[c];
    const auto count = static_cast<double>(cells[c]);
    result.by_label[c] = static_cast<double>(same[c]) / (count * wide);
    result.by_chance += count / n * (count - 1) / (n - 1);
  }
  result.mean = static_cast<double>(total) / (n * wide);
  return result;
}

}  // namespace stofm::tasks
