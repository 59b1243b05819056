// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which labelled cells judge the epochs of fine-tuning, and which pieces a pass goes through.
///
/// Validation cells: of every class and slice with at least ten labelled cells, one of these is drawn and the
/// nearest labelled cells of the same class around it are taken, a share of them: one patch a class, so that
/// neighbours of training cells do not judge, and no class is lost. *Source* ours.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "stofm/core/random_key.hpp"
#include "stofm/pipeline/merge_slivers.hpp"
#include "stofm/train/prepared_slice.hpp"

namespace stofm::tasks::detail {

/// Fewest labelled cells of a class in a slice that give some of them away.
inline constexpr std::int64_t validated_class_cells = 10;

/// Marks validation cells: by slice, [cells] 1 or 0. *Cost* O(N log N) a class. Deterministic.
inline std::vector<std::uint8_t> validation_cells(const train::PreparedSlice& slice,
                                                  std::span<const std::int32_t> labels, std::int64_t classes,
                                                  double share, const RandomKey& key) {
  std::vector<std::uint8_t> marks(labels.size(), 0);
  std::uint64_t number = 0;
  for (const train::PreparedFrame& frame : slice.frames)
    for (std::int64_t c = 0; c < classes; ++c) {
      Random random = key.child(number++).generator();
      std::vector<std::size_t> cells;
      for (std::size_t i = 0; i < frame.cells.size(); ++i)
        if (labels[static_cast<std::size_t>(frame.cells[i])] == c) cells.push_back(i);
      const auto count = static_cast<std::int64_t>(cells.size());
      if (count < validated_class_cells || share <= 0) continue;
      const auto take = static_cast<std::size_t>(std::lround(share * static_cast<double>(count)));
      const auto middle = static_cast<std::int64_t>(cells[random.below(cells.size())]);
      std::vector<std::pair<double, std::size_t>> order;
      for (const std::size_t i : cells) {
        const auto at = static_cast<std::int64_t>(i);
        const double dx = frame.xy(at, 0) - frame.xy(middle, 0), dy = frame.xy(at, 1) - frame.xy(middle, 1);
        order.emplace_back(dx * dx + dy * dy, i);
      }
      std::sort(order.begin(), order.end());
      for (std::size_t i = 0; i < take; ++i)
        marks[static_cast<std::size_t>(frame.cells[order[i].second])] = 1;
    }
  return marks;
}

/// A piece of a pass.
struct Visit {
  std::size_t slice = 0, frame = 0;
  std::vector<std::int64_t> cells;  ///< of the frame
};

/// Pieces of one frame, along axes turned by an angle; slivers are joined to their neighbours.
inline std::vector<std::vector<std::int64_t>> turned_pieces(const train::PreparedFrame& frame,
                                                            std::int64_t split, double angle) {
  const std::int64_t n = frame.xy.dim(0);
  Tensor<double> xy({n, 2});
  const double c = std::cos(angle), s = std::sin(angle);
  for (std::int64_t i = 0; i < n; ++i) {
    xy(i, 0) = c * frame.xy(i, 0) - s * frame.xy(i, 1);
    xy(i, 1) = s * frame.xy(i, 0) + c * frame.xy(i, 1);
  }
  auto pieces = pipeline::split_cells(std::as_const(xy).view(), split);
  pipeline::merge_slivers(pieces, std::as_const(xy).view(), split);
  return pieces;
}

}  // namespace stofm::tasks::detail
