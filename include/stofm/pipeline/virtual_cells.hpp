// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The macro scale: cells that are alike and near form clusters, and each cluster becomes one virtual cell.
///
///     n = xy / max_i |xy_i|     p = PCA2(F) / max_i |PCA2(F)_i|     z = alpha n + (1 - alpha) p
///
/// *Source* SPEC section 3.

#include <chrono>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/cluster/pca.hpp"
#include "stofm/cluster/umap_graph.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/core/stop_check.hpp"
#include "stofm/pipeline/embed_choices.hpp"

namespace stofm::pipeline {

/// Where the work on points is done; empty members leave it to the CPU. Answers must be the CPU's.
struct PointFunctions {
  cluster::NeighbourSearch nearest_neighbours = {};
  cluster::KMeansFunction mini_batch_kmeans = {};
};

struct VirtualCellOptions {
  ClusterMethod method = ClusterMethod::leiden;
  double alpha = 0.2;             ///< weight of space; SPEC section 3
  std::int64_t n_neighbors = 10;  ///< leiden: of the graph, the cell itself counted; SPEC section 3
  double resolution = 1.0;        ///< leiden; SPEC section 3
  std::int64_t max_passes = -1;   ///< leiden: -1 until stable; SPEC section 3
  cluster::LeidenWalk walk = cluster::LeidenWalk::by_size;  ///< leiden: local above 100,000 cells; ours
  std::int64_t clusters = 0;                                ///< kmeans: how many, 0: floor(sqrt(N / 2))
  std::uint64_t seed = 0;
  PointFunctions points = {};
  StopCheck stop = {};  ///< leiden: asked by the calling thread
};

/// Clusters of a slice and the nodes they become.
struct VirtualCells {
  std::vector<std::int32_t> labels;  ///< [N] cluster of each cell
  Tensor<double> xy;                 ///< [K, 2] mean normalised coordinates
  Tensor<float> features;            ///< [K, C] mean F
  std::vector<std::int64_t> sizes;   ///< [K] cells per cluster, all > 0
  double modularity = 0;             ///< leiden: of the clusters on the graph; kmeans: 0
  double inertia = 0;                ///< kmeans: sum of squared distances in z; leiden: 0
  std::int64_t passes = 0;           ///< of Leiden, or batches of k-means
  double features_seconds = 0, graph_seconds = 0, cluster_seconds = 0;  ///< where the time went
  Notices notices;

  std::int64_t count() const { return static_cast<std::int64_t>(sizes.size()); }
};

namespace detail {
/// sum += weight * points / (largest row norm); nothing where every point is 0.
inline void add_scaled(Tensor<double>& z, TensorView<const double> points, double weight) {
  double largest = 0;
  for (std::int64_t i = 0; i < points.dim(0); ++i)
    largest = (std::max)(largest, std::hypot(points.row(i)[0], points.row(i)[1]));
  if (!(largest > 0)) return;
  for (std::int64_t i = 0; i < points.dim(0); ++i)
    for (int axis = 0; axis < 2; ++axis) z.data()[2 * i + axis] += weight * (points.row(i)[axis] / largest);
}
inline void require_cells(TensorView<const double> xy, TensorView<const float> features, const char* op) {
  if (xy.rank() != 2 || features.rank() != 2 || xy.dim(1) != 2 || xy.stride(1) != 1 || xy.dim(0) < 1 ||
      xy.dim(0) != features.dim(0) || (features.dim(1) > 1 && features.stride(1) != 1))
    throw ShapeError(
        {"STOFM-4210", "", op, concat("coordinates ", layout_text(xy), ", features ", layout_text(features)),
         "[cells, 2] and [cells, width], one cell or more, rows dense", "Give one row of each per cell."});
}
inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
}  // namespace detail

/// z [N, 2] from normalised coordinates `xy` [N, 2] and cell embeddings `features` [N, C].
/// Identical features or identical coordinates add nothing. \throws ShapeError, DataError (a value that is
/// not finite), UsageError for alpha outside [0, 1]. *Cost* see pca2. *Deterministic* yes.
inline Tensor<double> cluster_features(TensorView<const double> xy, TensorView<const float> features,
                                       double alpha = 0.2) {
  detail::require_cells(xy, features, "[cluster_features]");
  if (!(alpha >= 0 && alpha <= 1))
    throw UsageError(
        {"STOFM-4211", "", "alpha", concat(alpha), "a number in [0, 1]", "The published value is 0.2."});
  auto z = Tensor<double>::zeros({xy.dim(0), 2});
  detail::add_scaled(z, xy, alpha);
  detail::add_scaled(z, cluster::pca2(features).scores.view(), 1 - alpha);
  return z;
}

/// Means of coordinates and features over the cells of each label. `clusters`: labels are below it; each has
/// a cell. Sums in double in the order of cells. \throws ShapeError. *Cost* O(N C). *Deterministic* yes.
inline VirtualCells mean_of_clusters(std::vector<std::int32_t> labels, std::int64_t clusters,
                                     TensorView<const double> xy, TensorView<const float> features) {
  detail::require_cells(xy, features, "[mean_of_clusters]");
  VirtualCells result;
  const std::int64_t n = xy.dim(0), width = features.dim(1);
  if (static_cast<std::int64_t>(labels.size()) != n || clusters < 1)
    throw ShapeError({"STOFM-4212", "", "[mean_of_clusters]", concat(labels.size(), " labels"),
                      concat(n, " labels of 1 cluster or more"), "Give one label per cell."});
  result.sizes.assign(static_cast<std::size_t>(clusters), 0);
  for (const std::int32_t label : labels) {
    if (label < 0 || label >= clusters)
      throw ShapeError({"STOFM-4213", "", "[mean_of_clusters]", concat("label ", label),
                        concat("a label in [0, ", clusters, ")"), "Number the clusters from 0."});
    ++result.sizes[static_cast<std::size_t>(label)];
  }
  for (const std::int64_t size : result.sizes)
    if (size == 0)
      throw ShapeError({"STOFM-4214", "", "[mean_of_clusters]", "a cluster without cells",
                        "cells in every cluster", "Number the clusters without gaps."});
  result.xy = Tensor<double>::zeros({clusters, 2});
  auto sums = Tensor<double>::zeros({clusters, width});
  // Columns apart: each sum runs over the cells in their order, on any number of threads.
  parallel_for(
      width, (std::max<std::int64_t>)(16, (width + 15) / 16), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = 0; i < n; ++i) {
          double* sum = sums.data() + static_cast<std::int64_t>(labels[static_cast<std::size_t>(i)]) * width;
          for (std::int64_t j = begin; j < end; ++j) sum[j] += static_cast<double>(features.row(i)[j]);
        }
      });
  for (std::int64_t i = 0; i < n; ++i)
    for (int axis = 0; axis < 2; ++axis)
      result.xy.data()[2 * labels[static_cast<std::size_t>(i)] + axis] += xy.row(i)[axis];
  result.features = Tensor<float>({clusters, width});
  for (std::int64_t c = 0; c < clusters; ++c) {
    const auto size = static_cast<double>(result.sizes[static_cast<std::size_t>(c)]);
    for (int axis = 0; axis < 2; ++axis) result.xy.data()[2 * c + axis] /= size;
    for (std::int64_t j = 0; j < width; ++j)
      result.features.data()[c * width + j] = static_cast<float>(sums.data()[c * width + j] / size);
  }
  result.labels = std::move(labels);
  return result;
}

/// Clusters and virtual cells of a slice: `xy` [N, 2] normalised, `features` [N, C] cell embeddings.
/// \throws as cluster_features; UsageError for options out of range. *Cost* leiden 10 to 40 us a cell up to
/// 100,000 cells and about 10 above, kmeans about 1. *Deterministic* yes for a seed, any thread count.
STOFM_INLINE VirtualCells find_virtual_cells(TensorView<const double> xy, TensorView<const float> features,
                                             const VirtualCellOptions& options = {});

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto pipeline::find_virtual_cells(TensorView<const double> xy, TensorView<const float> features,
                                               const VirtualCellOptions& options) -> VirtualCells {
  auto clock = std::chrono::steady_clock::now();
  const Tensor<double> z = cluster_features(xy, features, options.alpha);
  const double features_seconds = detail::seconds_since(clock);
  clock = std::chrono::steady_clock::now();
  if (options.method == ClusterMethod::kmeans) {
    Tensor<float> points({z.dim(0), 2});
    for (std::int64_t e = 0; e < z.numel(); ++e) points.data()[e] = static_cast<float>(z.data()[e]);
    cluster::MiniBatchKMeansOptions kmeans;
    kmeans.clusters = options.clusters;
    kmeans.seed = options.seed;
    auto found = options.points.mini_batch_kmeans ? options.points.mini_batch_kmeans(points.view(), kmeans)
                                                  : cluster::mini_batch_kmeans(points.view(), kmeans);
    const double cluster_seconds = detail::seconds_since(clock);
    VirtualCells result = mean_of_clusters(std::move(found.labels), found.clusters, xy, features);
    result.inertia = found.inertia;
    result.passes = found.batches;
    result.notices = std::move(found.notices);
    result.features_seconds = features_seconds;
    result.cluster_seconds = cluster_seconds;
    return result;
  }
  cluster::UmapOptions umap;
  umap.n_neighbors = options.n_neighbors;
  umap.search = options.points.nearest_neighbours;
  const cluster::WeightedGraph graph = cluster::umap_graph_2d(z.view(), umap);
  options.stop();
  const double graph_seconds = detail::seconds_since(clock);
  clock = std::chrono::steady_clock::now();
  cluster::LeidenOptions leiden;
  leiden.resolution = options.resolution;
  leiden.max_passes = options.max_passes;
  leiden.walk = options.walk;
  leiden.seed = options.seed;
  leiden.stop = options.stop;
  auto found = cluster::leiden(graph, leiden);
  const double cluster_seconds = detail::seconds_since(clock);
  VirtualCells result = mean_of_clusters(std::move(found.labels), found.clusters, xy, features);
  result.modularity = found.modularity;
  result.passes = found.passes;
  result.features_seconds = features_seconds;
  result.graph_seconds = graph_seconds;
  result.cluster_seconds = cluster_seconds;
  return result;
}

}  // namespace stofm
#endif
