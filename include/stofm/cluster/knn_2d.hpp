// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Exact k nearest neighbours of points of the plane, each among the others.
/// Ties: the lowest index wins (SPEC section 3). *Source* ours, see point_tree_2d.hpp.

#include <cstdint>
#include <vector>

#include "stofm/cluster/point_tree_2d.hpp"
#include "stofm/core/callback.hpp"
#include "stofm/core/compiled.hpp"

namespace stofm::cluster {

/// Neighbours of each point, nearest first, the point itself not among them.
struct Neighbours2d {
  std::int64_t points = 0;
  std::int64_t k = 0;
  std::vector<std::int32_t> indices;      ///< [points, k]
  std::vector<double> squared_distances;  ///< [points, k], ascending in a row
};

/// A function with the contract of nearest_neighbours_2d, that may run elsewhere.
using NeighbourSearch = Callback<Neighbours2d(TensorView<const double> xy, std::int64_t k)>;

/// The k nearest other points of each point; k is lowered to points - 1.
/// *Shapes* `xy` [N, 2], rows dense. \throws ShapeError for other shapes or k < 0, DataError for a coordinate
/// that is not finite (or beyond 1e150). *Cost* O(N log N + N k), about 0.5 us a point at k = 9; memory 12 N
/// k bytes for the result and about 120 N while it runs. *Deterministic* yes, any thread count. 1,000 or
/// 1,000,000 points at one place, lines and outliers cost no more.
STOFM_INLINE Neighbours2d nearest_neighbours_2d(TensorView<const double> xy, std::int64_t k);

}  // namespace stofm::cluster

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto cluster::nearest_neighbours_2d(TensorView<const double> xy, std::int64_t k)
    -> Neighbours2d {
  detail::require_points_2d(xy, "[nearest_neighbours_2d]");
  if (k < 0)
    throw ShapeError({"STOFM-1205", "", "[nearest_neighbours_2d]", concat("k = ", k), "k >= 0", "Check k."});
  Neighbours2d result;
  result.points = xy.dim(0);
  result.k = (std::min)(k, (std::max<std::int64_t>)(result.points - 1, 0));
  if (result.k == 0) return result;
  const PointTree2d tree(xy, result.k, result.k + 1);
  const auto values = static_cast<std::size_t>(checked_mul(result.points, result.k, "neighbours"));
  result.indices.resize(values);
  result.squared_distances.resize(values);
  parallel_for(tree.queries(), 512, [&](std::int64_t begin, std::int64_t end) {
    tree.visit(begin, end, [&](std::int32_t point, std::span<Candidate2d> found) {
      std::sort(found.data(), found.data() + result.k);  // visit() has put the k nearest in front
      const auto row = static_cast<std::size_t>(point * result.k);
      for (std::size_t j = 0; j < static_cast<std::size_t>(result.k); ++j) {
        result.indices[row + j] = found[j].index;
        result.squared_distances[row + j] = found[j].squared_distance;
      }
    });
  });
  return result;
}

}  // namespace stofm
#endif
