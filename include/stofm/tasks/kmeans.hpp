// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// k-means over all rows (Lloyd) with restarts: each from greedy k-means++, the one with the least inertia is
/// kept. *Source* Lloyd (1982); Arthur and Vassilvitskii (2007). cluster/mini_batch_kmeans.hpp is the quicker
/// one for very many rows.

#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/cluster/number_by_size.hpp"
#include "stofm/core/stop_check.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

struct KMeansOptions {
  std::int64_t clusters = 0;  ///< K, at least 1
  int restarts = 10;          ///< as scikit-learn's n_init
  int max_iterations = 300;   ///< of each
  std::uint64_t seed = 0;
  StopCheck stop = {};  ///< asked once an iteration
};

struct KMeansResult {
  std::vector<std::int32_t> labels;  ///< [N], K clusters numbered by size
  Tensor<float> centres;             ///< [K, C], in the same order
  double inertia = 0;                ///< sum of squared distances to the own centre
  int iterations = 0;                ///< of the restart that was kept
  int restart = 0;                   ///< which it was
};

/// Clusters of `rows` [N, C] (float, rows dense), none empty. \throws ShapeError (STOFM-4704, 1231);
/// UsageError for K, restarts or iterations < 1 (4722); DataError for no rows or a value that is not finite
/// below 1e17 (1232), fewer distinct rows than K (4720). *Cost* N K C operations an iteration, 10 to 50 of
/// them a restart. *Deterministic* yes for a seed, any thread count.
inline KMeansResult kmeans(TensorView<const float> rows, const KMeansOptions& options) {
  constexpr const char* op = "[kmeans]";
  detail::require_rows(op, rows);
  if (options.clusters < 1 || options.restarts < 1 || options.max_iterations < 1)
    throw UsageError({"STOFM-4722", "", op,
                      concat("clusters ", options.clusters, ", restarts ", options.restarts, ", iterations ",
                             options.max_iterations),
                      "at least 1", "Check the options."});
  cluster::detail::check_mini_batch_kmeans(rows, {});
  const std::int64_t n = rows.dim(0);
  KMeansResult best;
  for (int restart = 0; restart < options.restarts; ++restart) {
    Random random(options.seed, 0x6C6C6F7964ULL + static_cast<std::uint64_t>(restart));
    KMeansResult now;
    now.restart = restart;
    now.centres = cluster::kmeans_start(rows, (std::min)(options.clusters, n), n, random);
    if (now.centres.dim(0) < options.clusters)
      throw DataError({"STOFM-4720", "", op, concat(now.centres.dim(0), " distinct rows"),
                       concat("at least as many as clusters, ", options.clusters),
                       "Ask for fewer clusters."});
    std::vector<std::int32_t> before;
    std::vector<float> distances(static_cast<std::size_t>(n));
    now.labels.resize(static_cast<std::size_t>(n));
    for (; now.iterations < options.max_iterations; ++now.iterations) {
      options.stop();
      cluster::nearest_centres(rows, cluster::PackedPoints(std::as_const(now.centres).view()), now.labels,
                               distances);
      cluster::detail::fill_empty_centres(rows, now.centres, now.labels, distances);
      if (now.labels == before) break;
      before = now.labels;
      cluster::detail::centres_to_means(rows, now.labels, now.centres);
    }
    for (const float distance : distances) now.inertia += static_cast<double>(distance);
    if (restart == 0 || now.inertia < best.inertia) best = std::move(now);
  }
  const std::vector<std::int32_t> old = best.labels;
  cluster::number_by_size(best.labels);
  const Tensor<float> centres = best.centres.clone();
  for (std::size_t i = 0; i < old.size(); ++i)
    std::copy_n(centres.data() + old[i] * rows.dim(1), rows.dim(1),
                best.centres.data() + best.labels[i] * rows.dim(1));
  return best;
}

}  // namespace stofm::tasks
