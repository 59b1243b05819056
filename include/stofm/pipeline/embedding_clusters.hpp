// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Clusters of the embedding of a slice, for a first look at it: what a map of the tissue is coloured by.
/// Ours, not part of the published method; for an analysis of its own cluster the embedding as one likes.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "stofm/cluster/mini_batch_kmeans.hpp"

namespace stofm::pipeline {

struct EmbeddingClusterOptions {
  std::int64_t clusters = 0;  ///< 0: embedding_cluster_count(N)
  int starts = 2;             ///< k-means from so many starts, the tightest is kept
  std::uint64_t seed = 0;
};

struct EmbeddingClusters {
  std::vector<std::int32_t> labels;  ///< [N], 0 is the largest cluster
  std::int64_t clusters = 0;         ///< fewer than asked for where there are fewer distinct rows
  std::string method;                ///< "k-means of the embedding, k = 10"
};

/// Number of clusters if none is given: 10, and one per 10 cells in slices of fewer than 100. A choice, not a
/// finding: on slices with known regions 6 to 10 agreed best with them (adjusted Rand index), and no measure
/// of how tight clusters are chose better than a constant.
inline std::int64_t embedding_cluster_count(std::int64_t n) {
  return std::clamp<std::int64_t>(n / 10, 1, 10);
}

/// k-means of the rows of an embedding [N, C], numbered by falling size (of equals, the one with the first
/// cell). All libraries of a file at once, so that a number means the same in each.
/// \throws as cluster::mini_batch_kmeans. *Cost* about 6 N K C multiplications a start. *Deterministic* yes
/// for a seed, any thread count.
inline EmbeddingClusters cluster_embedding(TensorView<const float> embeddings,
                                           const EmbeddingClusterOptions& options = {}) {
  const std::int64_t k = options.clusters > 0 ? options.clusters : embedding_cluster_count(embeddings.dim(0));
  cluster::MiniBatchKMeansResult best;
  for (int start = 0; start < (std::max)(1, options.starts); ++start) {
    auto found = cluster::mini_batch_kmeans(
        embeddings,
        {.clusters = k, .full_steps = 4, .seed = options.seed + static_cast<std::uint64_t>(start)});
    if (start == 0 || found.inertia < best.inertia) best = std::move(found);
  }
  EmbeddingClusters result;
  result.clusters = best.clusters;
  result.method = concat("k-means of the embedding, k = ", best.clusters);
  const auto count = static_cast<std::size_t>(best.clusters);
  std::vector<std::int64_t> size(count, 0), first(count, embeddings.dim(0));
  for (std::size_t i = best.labels.size(); i-- > 0;) {
    const auto label = static_cast<std::size_t>(best.labels[i]);
    ++size[label];
    first[label] = static_cast<std::int64_t>(i);
  }
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size[a] != size[b] ? size[a] > size[b] : first[a] < first[b];
  });
  std::vector<std::int32_t> number(count);
  for (std::size_t r = 0; r < count; ++r) number[order[r]] = static_cast<std::int32_t>(r);
  result.labels = std::move(best.labels);
  for (std::int32_t& label : result.labels) label = number[static_cast<std::size_t>(label)];
  return result;
}

}  // namespace stofm::pipeline
