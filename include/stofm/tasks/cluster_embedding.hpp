// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Clusters of an embedding: scaled slice by slice, perhaps reduced to principal components, then Leiden on
/// the neighbour graph, k-means or a Gaussian mixture; exactly as many clusters as are asked for.
///
/// Several slices are clustered together: give their rows one below the other and say which slice each is of;
/// labels then mean the same in all.

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/stop_check.hpp"
#include "stofm/tasks/clustering_metrics.hpp"
#include "stofm/tasks/embedding_graph.hpp"
#include "stofm/tasks/gaussian_mixture.hpp"
#include "stofm/tasks/leiden_clusters.hpp"
#include "stofm/tasks/silhouette.hpp"
#include "stofm/tasks/slice_scaling.hpp"

namespace stofm::tasks {

enum class ClusterMethod { leiden, kmeans, mini_batch_kmeans, gaussian_mixture };

struct ClusterOptions {
  ClusterMethod method = ClusterMethod::leiden;
  std::int64_t clusters = 0;     ///< K; 0: Leiden at `resolution`, which decides
  double resolution = 1.0;       ///< of Leiden where K is 0
  bool standardise = true;       ///< columns within each slice
  std::int64_t components = 0;   ///< principal components that are kept; 0: none taken (mixture: 30)
  std::int64_t neighbours = 15;  ///< of the graph, the cell itself counted, as scanpy's n_neighbors
  Distance distance = Distance::euclidean;
  Covariance covariance = Covariance::full;
  int restarts = 10;  ///< of k-means
  std::uint64_t seed = 0;
  StopCheck stop = {};  ///< asked by all threads; not by mini_batch_kmeans
};

struct EmbeddingClusters {
  std::vector<std::int32_t> labels;  ///< [N], numbered by size
  std::vector<std::int64_t> sizes;   ///< [clusters], descending
  ClusterMethod method = ClusterMethod::leiden;
  double resolution = std::numeric_limits<double>::quiet_NaN();  ///< Leiden only
  double modularity = std::numeric_limits<double>::quiet_NaN();  ///< Leiden only, at that resolution
  std::int64_t merged = 0;       ///< Leiden: clusters merged away because no resolution gave K
  Tensor<double> probabilities;  ///< mixture only: [N, K]

  std::int64_t clusters() const { return static_cast<std::int64_t>(sizes.size()); }
};

/// The rows that cluster_embedding works on: scaled, then components. Throws and cost: as its parts.
inline Tensor<float> cluster_features(TensorView<const float> rows, std::span<const std::int32_t> slice_of,
                                      const ClusterOptions& options) {
  Tensor<float> features = options.standardise ? standardised_by_slice(rows, slice_of) : Tensor<float>();
  const TensorView<const float> shown = options.standardise ? std::as_const(features).view() : rows;
  std::int64_t components = options.components;
  if (components == 0 && options.method == ClusterMethod::gaussian_mixture) components = 30;
  if (components > 0 && components < rows.dim(1)) {
    const PrincipalComponents pc = principal_components(shown, {.components = components});
    if (pc.count() > 0) return component_scores(pc, shown);
  }
  if (options.standardise) return features;
  Tensor<float> copy({rows.dim(0), rows.dim(1)});
  for (std::int64_t i = 0; i < rows.dim(0); ++i)
    std::copy_n(rows.row(i), rows.dim(1), copy.data() + i * rows.dim(1));
  return copy;
}

/// Leiden clusters of a graph of neighbours that is there already (embedding_graph): `clusters` of them, or
/// at `resolution` where that is 0; nothing else of `options` counts but the seed. \throws as
/// leiden_clusters, cluster::leiden. *Deterministic* yes for a seed, any thread count.
inline EmbeddingClusters cluster_graph(const cluster::WeightedGraph& graph, const ClusterOptions& options) {
  EmbeddingClusters result;
  result.method = ClusterMethod::leiden;
  if (options.clusters == 0) {
    cluster::LeidenResult found = cluster::leiden(
        graph, {.resolution = options.resolution, .seed = options.seed, .stop = options.stop});
    result.labels = std::move(found.labels);
    result.resolution = options.resolution;
    result.modularity = found.modularity;
  } else {
    LeidenSearchResult found =
        leiden_clusters(graph, {.clusters = options.clusters, .seed = options.seed, .stop = options.stop});
    result.labels = std::move(found.labels);
    result.resolution = found.resolution;
    result.modularity = found.modularity;
    result.merged = found.merged;
  }
  result.sizes = cluster::number_by_size(result.labels);
  return result;
}

/// Clusters of `rows` [N, C] (float, rows dense); `slice_of` [N] as in standardised_by_slice, may be empty.
/// K clusters come back, but for a mixture one of whose components is nobody's most probable (see sizes).
/// \throws ShapeError (STOFM-4700, 4704); UsageError for options out of range (4722); DataError for no rows
/// (4701), values that are not finite (4703), fewer cells or distinct rows than K (4720). *Cost* that of the
/// method. *Deterministic* yes for a seed, any thread count.
STOFM_INLINE EmbeddingClusters cluster_embedding(TensorView<const float> rows,
                                                 std::span<const std::int32_t> slice_of,
                                                 const ClusterOptions& options);

/// How many clusters: the agreement of clusters of overlapping parts of the cells, for each number.
struct ClusterStability {
  std::vector<std::int64_t> clusters;  ///< the numbers that were tried, ascending
  std::vector<double> stability;       ///< of each: mean adjusted Rand index
  std::int64_t suggested = 0;          ///< the most stable; of equals the smallest
};

struct StabilityOptions {
  std::int64_t smallest = 2, largest = 15;  ///< numbers of clusters
  int pairs = 5;                            ///< of parts
  double share = 0.8;                       ///< of the cells in a part
};

/// For each number K, `pairs` pairs of random parts of the cells are clustered as `options` say and compared
/// on the cells that both hold. \throws as cluster_embedding; UsageError for options out of range
/// (STOFM-4722). *Cost* 2 pairs (largest - smallest + 1) clusterings. *Deterministic* yes for a seed, any
/// thread count. *Source* Lange et al., "Stability-based validation of clustering solutions" (2004).
inline ClusterStability cluster_stability(TensorView<const float> rows,
                                          std::span<const std::int32_t> slice_of,
                                          const ClusterOptions& options,
                                          const StabilityOptions& stability = {}) {
  constexpr const char* op = "[cluster_stability]";
  detail::require_rows(op, rows);
  if (stability.smallest < 1 || stability.largest < stability.smallest || stability.pairs < 1 ||
      !(stability.share > 0.5 && stability.share < 1))
    throw UsageError({"STOFM-4722", "", op,
                      concat("clusters ", stability.smallest, " to ", stability.largest, ", pairs ",
                             stability.pairs, ", share ", stability.share),
                      "an ascending range from 1, pairs >= 1, a share between 0.5 and 1",
                      "Check the options."});
  const std::int64_t n = rows.dim(0),
                     part = static_cast<std::int64_t>(stability.share * static_cast<double>(n));
  const Tensor<float> features = cluster_features(rows, slice_of, options);  // scaled once, by all cells
  ClusterOptions plain = options;
  plain.standardise = false;
  plain.components = features.dim(1);
  ClusterStability result;
  for (std::int64_t k = stability.smallest; k <= stability.largest; ++k) {
    plain.clusters = k;
    double sum = 0;
    for (int pair = 0; pair < stability.pairs; ++pair) {
      std::vector<std::int32_t> labels[2];
      for (int side = 0; side < 2; ++side) {
        const auto cells = detail::sample_without_repetition(
            n, part, options.seed + static_cast<std::uint64_t>(2 * pair + side) * 0x9E3779B97F4A7C15ULL);
        Tensor<float> some({part, features.dim(1)});
        for (std::int64_t i = 0; i < part; ++i)
          std::copy_n(features.data() + cells[static_cast<std::size_t>(i)] * features.dim(1), features.dim(1),
                      some.data() + i * features.dim(1));
        const auto found = cluster_embedding(std::as_const(some).view(), {}, plain);
        labels[side].assign(static_cast<std::size_t>(n), -1);
        for (std::size_t i = 0; i < cells.size(); ++i)
          labels[side][static_cast<std::size_t>(cells[i])] = found.labels[i];
      }
      std::vector<std::int32_t> first, second;
      for (std::size_t i = 0; i < labels[0].size(); ++i)
        if (labels[0][i] >= 0 && labels[1][i] >= 0) {
          first.push_back(labels[0][i]);
          second.push_back(labels[1][i]);
        }
      sum += clustering_scores(first, second).adjusted_rand;
    }
    result.clusters.push_back(k);
    result.stability.push_back(sum / stability.pairs);
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < result.stability.size(); ++i)
    if (result.stability[i] > result.stability[best]) best = i;
  result.suggested = result.clusters[best];
  return result;
}

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::cluster_embedding(TensorView<const float> rows,
                                           std::span<const std::int32_t> slice_of,
                                           const ClusterOptions& options) -> EmbeddingClusters {
  constexpr const char* op = "[cluster_embedding]";
  detail::require_rows(op, rows);
  detail::require_some(op, static_cast<std::size_t>(rows.dim(0)));
  detail::require_finite_rows(op, rows);
  const bool by_graph = options.method == ClusterMethod::leiden;
  if (options.clusters < 0 || (options.clusters == 0 && !by_graph) || options.components < 0 ||
      options.neighbours < 2 || options.restarts < 1)
    throw UsageError({"STOFM-4722", "", op,
                      concat("clusters ", options.clusters, ", components ", options.components,
                             ", neighbours ", options.neighbours, ", restarts ", options.restarts),
                      "clusters >= 1 (Leiden: or 0), components >= 0, neighbours >= 2, restarts >= 1",
                      "Check the options."});
  if (options.clusters > rows.dim(0))
    throw DataError({"STOFM-4720", "", op, concat(rows.dim(0), " cells"),
                     concat("at least as many as clusters, ", options.clusters), "Ask for fewer clusters."});
  const Tensor<float> features = cluster_features(rows, slice_of, options);
  if (by_graph)
    return cluster_graph(embedding_graph(nearest_neighbours(features.view(), options.neighbours - 1,
                                                            {options.distance, options.stop})),
                         options);
  EmbeddingClusters result;
  result.method = options.method;
  if (options.method == ClusterMethod::mini_batch_kmeans) {
    auto found =
        cluster::mini_batch_kmeans(features.view(), {.clusters = options.clusters, .seed = options.seed});
    if (found.clusters < options.clusters)
      throw DataError({"STOFM-4720", "", op, concat(found.clusters, " distinct rows"),
                       concat("at least as many as clusters, ", options.clusters),
                       "Ask for fewer clusters."});
    result.labels = std::move(found.labels);
  } else {
    const KMeansOptions start{.clusters = options.clusters,
                              .restarts = options.restarts,
                              .seed = options.seed,
                              .stop = options.stop};
    if (options.method == ClusterMethod::kmeans) {
      result.labels = kmeans(features.view(), start).labels;
    } else {
      GaussianMixture found = gaussian_mixture(
          features.view(),
          {.components = options.clusters, .covariance = options.covariance, .start = start});
      result.labels = std::move(found.labels);
      result.probabilities = std::move(found.probabilities);
    }
  }
  result.sizes = cluster::number_by_size(result.labels);
  return result;
}

}  // namespace stofm
#endif
