// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Cells held out by place, all over a slice: it is cut into strips of equally many cells, each strip into
/// tiles of equally many, and every n-th tile is held out, a step aside from strip to strip. So each part of
/// the tissue is judged, and most held-out cells have no neighbour that was learnt from.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

struct SpatialBlockOptions {
  double share = 0.2;               ///< of the cells in a part: the tiles 1 in round(1 / share)
  std::int64_t cells_of_tile = 60;  ///< about; tiles are larger where the slice has more than 20 x 20 of them
};

/// Which of round(1 / share) parts the tile of each cell belongs to, [cells], from 0. `xy` [cells, 2]. No
/// tile without cells; at equal places the row decides. \throws ShapeError (STOFM-4704); UsageError for a
/// share outside (0, 0.5] (4774). *Cost* O(N log N). *Deterministic* yes, nothing is drawn.
inline std::vector<std::int32_t> tile_folds(TensorView<const double> xy,
                                            const SpatialBlockOptions& options = {}) {
  constexpr const char* op = "[tile_folds]";
  detail::require_rows(op, xy);
  if (!(options.share > 0 && options.share <= 0.5) || options.cells_of_tile < 1)
    throw UsageError({"STOFM-4774", "", op,
                      concat("a share of ", options.share, ", tiles of ", options.cells_of_tile),
                      "a share above 0, up to 0.5, and tiles of a cell or more",
                      "Give the share of the cells to hold out."});
  const std::int64_t n = xy.dim(0), every = std::llround(1 / options.share);
  std::int64_t step =
      (std::max<std::int64_t>)(1, every * 2 / 5);  // without a common divisor: all over the slice
  while (std::gcd(step, every) > 1) --step;
  const auto wanted = static_cast<std::int64_t>(
      std::sqrt(static_cast<double>(n) / static_cast<double>(options.cells_of_tile)));
  const std::int64_t side = (std::clamp<std::int64_t>)(wanted, every, (std::max<std::int64_t>)(20, every));
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto sort_by = [&](std::int64_t begin, std::int64_t end, std::int64_t axis) {
    std::sort(order.begin() + begin, order.begin() + end, [&](std::int64_t a, std::int64_t b) {
      const double x = xy.row(a)[axis], y = xy.row(b)[axis];
      return x < y || (x == y && a < b);
    });
  };
  std::vector<std::int32_t> part(static_cast<std::size_t>(n), 0);
  sort_by(0, n, 0);
  for (std::int64_t strip = 0; strip < side; ++strip) {
    const std::int64_t begin = n * strip / side, end = n * (strip + 1) / side;
    sort_by(begin, end, xy.dim(1) > 1 ? 1 : 0);
    for (std::int64_t tile = 0; tile < side; ++tile) {
      const auto number = static_cast<std::int32_t>((tile + step * strip) % every);
      const std::int64_t first = begin + (end - begin) * tile / side,
                         last = begin + (end - begin) * (tile + 1) / side;
      for (std::int64_t i = first; i < last; ++i)
        part[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = number;
    }
  }
  return part;
}

/// Cells held out, [cells]: 1 in the first of these parts. \throws as tile_folds. *Cost* and *deterministic*
/// as there.
inline std::vector<std::uint8_t> hold_out_tiles(TensorView<const double> xy,
                                                const SpatialBlockOptions& options = {}) {
  std::vector<std::uint8_t> held;
  for (const std::int32_t part : tile_folds(xy, options)) held.push_back(part == 0 ? 1 : 0);
  return held;
}

}  // namespace stofm::tasks
