// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How much of what lies near in an embedding lies near in a picture of it.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/tasks/neighbours.hpp"
#include "stofm/tasks/silhouette.hpp"

namespace stofm::tasks {

struct LayoutQuality {
  double trustworthiness = 0;  ///< 1: every neighbour in the picture is one in the embedding
  double preservation = 0;     ///< share of the k neighbours in the embedding that are so in the picture
};

/// Quality of `layout` [N, D] as a picture of `rows` [N, C] at `k` neighbours, Euclidean in both.
/// Trustworthiness is scikit-learn's: 1 - 2 / (N k (2 N - 3 k - 1)) sum over neighbours in the picture of
/// (rank in the embedding - k) where that is above 0. With `sample` M < N points only these are looked at,
/// each among all. \throws ShapeError (STOFM-4700, 4704); UsageError unless 1 <= k < N / 2 (4706); DataError
/// (4703). *Cost* M N C operations in double besides the neighbours. *Deterministic* yes, any thread count.
/// *Source* Venna and Kaski, "Neighborhood preservation in nonlinear projection methods" (2001).
inline LayoutQuality layout_quality(TensorView<const float> rows, TensorView<const float> layout,
                                    std::int64_t k = 15, std::int64_t sample = 0, std::uint64_t seed = 0) {
  constexpr const char* op = "[layout_quality]";
  detail::require_rows(op, rows);
  detail::require_rows(op, layout);
  detail::require_same_count(op, static_cast<std::size_t>(rows.dim(0)),
                             static_cast<std::size_t>(layout.dim(0)), "rows");
  const std::int64_t n = rows.dim(0), width = rows.dim(1);
  if (k < 1 || 2 * k >= n)
    throw UsageError({"STOFM-4706", "", op, concat("k = ", k, " of ", n, " points"), "1 <= k < points / 2",
                      "Ask for fewer neighbours."});
  detail::require_finite_rows(op, rows);
  const Neighbours seen = nearest_neighbours(layout, k);
  const auto cells = detail::sample_without_repetition(n, sample > 0 ? sample : n, seed);
  const auto count = static_cast<std::int64_t>(cells.size());
  std::vector<std::int64_t> excess(cells.size(), 0), kept(cells.size(), 0);
  parallel_for(count, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> distance(static_cast<std::size_t>(n));
    for (std::int64_t s = begin; s < end; ++s) {
      const std::int64_t i = cells[static_cast<std::size_t>(s)];
      for (std::int64_t j = 0; j < n; ++j)
        distance[static_cast<std::size_t>(j)] = detail::square_distance(rows.row(i), rows.row(j), width);
      for (std::int64_t e = i * k; e < (i + 1) * k; ++e) {
        const std::int64_t other = seen.indices[static_cast<std::size_t>(e)];
        const double own = distance[static_cast<std::size_t>(other)];
        std::int64_t rank = 1;  // of `other` among the points by distance in the embedding, from 1
        for (std::int64_t j = 0; j < n; ++j) {
          const double d = distance[static_cast<std::size_t>(j)];
          rank += j != i && (d < own || (d == own && j < other));
        }
        excess[static_cast<std::size_t>(s)] += (std::max<std::int64_t>)(rank - k, 0);
        kept[static_cast<std::size_t>(s)] += rank <= k;
      }
    }
  });
  double total = 0, shared = 0;
  for (std::size_t s = 0; s < cells.size(); ++s) {
    total += static_cast<double>(excess[s]);
    shared += static_cast<double>(kept[s]);
  }
  const auto wide = static_cast<double>(k), points = static_cast<double>(n),
             looked = static_cast<double>(count);
  return {1.0 - 2.0 * total / (looked * wide * (2 * points - 3 * wide - 1)), shared / (looked * wide)};
}

}  // namespace stofm::tasks
