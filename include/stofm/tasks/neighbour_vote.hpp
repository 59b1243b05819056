// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Labels smoothed in space: each cell gets the label that most of its nearest cells have.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/cluster/knn_2d.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// The most frequent of the `labels` [N] of each cell and of its k nearest cells at `xy` [N, 2] of one slice.
/// -1: no label, which has no vote but may get one. Of equals the cell's own label wins, else the lowest; no
/// votes: -1. k = 0 changes nothing. Good for regions, which are wide; it votes rare cell types away. \throws
/// ShapeError (STOFM-4700, 1201 to 1205); DataError for a label below -1 (4702), a place that is not finite.
/// *Cost* O(N log N + N k). *Deterministic* yes, any thread count.
inline std::vector<std::int32_t> vote_of_neighbours(TensorView<const double> xy,
                                                    std::span<const std::int32_t> labels, std::int64_t k) {
  constexpr const char* op = "[vote_of_neighbours]";
  if (xy.rank() == 2)
    detail::require_same_count(op, static_cast<std::size_t>(xy.dim(0)), labels.size(), "places and labels");
  std::int32_t highest = -1;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < -1)
      throw DataError({"STOFM-4702", "", concat(op, " cell ", i), concat("label ", labels[i]),
                       "a label >= -1", "Number the classes from 0; -1 is none."});
    highest = (std::max)(highest, labels[i]);
  }
  std::vector<std::int32_t> voted(labels.begin(), labels.end());
  if (k == 0 || highest < 0) return voted;
  const cluster::Neighbours2d nearest = cluster::nearest_neighbours_2d(xy, k);
  const auto width = static_cast<std::size_t>(nearest.k);
  std::vector<std::int64_t> votes(static_cast<std::size_t>(highest) + 1);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    std::fill(votes.begin(), votes.end(), 0);
    const auto vote = [&](std::int32_t label) {
      if (label >= 0) ++votes[static_cast<std::size_t>(label)];
    };
    vote(labels[i]);
    for (std::size_t e = i * width; e < (i + 1) * width; ++e)
      vote(labels[static_cast<std::size_t>(nearest.indices[e])]);
    const auto most = std::max_element(votes.begin(), votes.end());
    if (*most == 0) continue;
    if (labels[i] < 0 || votes[static_cast<std::size_t>(labels[i])] < *most)
      voted[i] = static_cast<std::int32_t>(most - votes.begin());
  }
  return voted;
}

}  // namespace stofm::tasks
