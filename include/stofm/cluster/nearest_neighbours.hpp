// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Exact k nearest neighbours of doubles in any dimension, each point among the others, by comparing all
/// pairs. For the plane knn_2d.hpp is O(N log N); tasks/neighbours.hpp has the quick exact search for rows of
/// floats, with queries of their own and the cosine distance.

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "stofm/cluster/knn_2d.hpp"

namespace stofm::cluster {

/// Neighbours of each point; nothing about them is of the plane.
using Neighbours = Neighbours2d;

/// The k nearest other points of each of `points` [N, C], any strides; k is lowered to N - 1. At equal
/// distance the lowest index first. Two columns: nearest_neighbours_2d, the same answer. \throws ShapeError
/// for another shape (STOFM-1207) or k < 0 (1205), DataError (1203) for a value that is not finite or beyond
/// 1e150. *Cost* O(N^2 C) on all threads; memory 12 N k bytes for the result and a copy of the points.
/// *Deterministic* yes, any thread count.
inline Neighbours nearest_neighbours(TensorView<const double> points, std::int64_t k) {
  constexpr const char* op = "[nearest_neighbours]";
  if (points.rank() != 2 || points.dim(1) < 1 || points.dim(0) > (std::numeric_limits<std::int32_t>::max)())
    throw ShapeError({"STOFM-1207", "", op, to_string(points.shape),
                      "[points, columns], fewer than 2^31 points", "Give one row per point."});
  if (k < 0) throw ShapeError({"STOFM-1205", "", op, concat("k = ", k), "k >= 0", "Check k."});
  const std::int64_t n = points.dim(0), width = points.dim(1);
  Tensor<double> rows({n, width});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < width; ++j) {
      const double value = points.data[i * points.stride(0) + j * points.stride(1)];
      if (!(std::abs(value) <= 1e150))
        throw DataError({"STOFM-1203", "", concat(op, " row ", i), concat(value),
                         "finite coordinates below 1e150", "Drop or mend this point."});
      rows.data()[i * width + j] = value;
    }
  const auto dense = std::as_const(rows).view();
  if (width == 2) return nearest_neighbours_2d(dense, k);
  Neighbours result;
  result.points = n;
  result.k = (std::min)(k, (std::max<std::int64_t>)(n - 1, 0));
  const auto size = static_cast<std::size_t>(checked_mul(n, result.k, "neighbours"));
  result.indices.resize(size);
  result.squared_distances.resize(size);
  if (size == 0) return result;
  parallel_for(n, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Candidate2d> others(static_cast<std::size_t>(n - 1));
    for (std::int64_t i = begin; i < end; ++i) {
      const double* row = dense.row(i);
      for (std::int64_t other = 0; other < n; ++other) {
        if (other == i) continue;
        double square = 0;
        for (std::int64_t j = 0; j < width; ++j) {
          const double difference = row[j] - dense.row(other)[j];
          square += difference * difference;
        }
        others[static_cast<std::size_t>(other < i ? other : other - 1)] = {square,
                                                                           static_cast<std::int32_t>(other)};
      }
      Candidate2d* const found = others.data();
      std::nth_element(found, found + (result.k - 1), found + others.size());
      std::sort(found, found + result.k);
      for (std::int64_t j = 0; j < result.k; ++j) {
        const auto at = static_cast<std::size_t>(i * result.k + j);
        result.indices[at] = found[j].index;
        result.squared_distances[at] = found[j].squared_distance;
      }
    }
  });
  return result;
}

}  // namespace stofm::cluster
