// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The fuzzy simplicial set of UMAP over points of the plane: the graph that the clusters of SToFM are found
/// on.
///
///     w_ij = exp(-max(0, d_ij - rho_i) / sigma_i)        for the n_neighbors - 1 nearest others j of i
///     A    = W + W^T - W o W^T
///
/// rho_i is the first non-zero distance of row i; sigma_i is found by bisection so that the row sums to
/// log2(n_neighbors). Float arithmetic, as in the reference.
/// *Source* SPEC section 3; McInnes, Healy, Melville, "UMAP" (2018), algorithms 2 and 3, with the constants
/// of umap-learn.

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "stofm/cluster/knn_2d.hpp"
#include "stofm/cluster/weighted_graph.hpp"
#include "stofm/core/compiled.hpp"

namespace stofm::cluster {

struct UmapOptions {
  std::int64_t n_neighbors = 10;     ///< the point itself counted (SPEC section 3)
  int bisections = 64;               ///< at most; SPEC section 3
  double tolerance = 1e-5;           ///< of the row sum; SPEC section 3
  double smallest_bandwidth = 1e-3;  ///< sigma is at least this times the mean distance; SPEC section 3
  NeighbourSearch search = {};       ///< gives what nearest_neighbours_2d gives; empty: that
};

namespace detail {
/// rho and sigma of one row. `distances`: to the others, ascending. `everywhere`: mean distance of all rows.
struct RowScale {
  float rho = 0, sigma = 1;
};
inline RowScale umap_row_scale(std::span<const float> distances, double everywhere,
                               const UmapOptions& options) {
  RowScale scale;
  float sum_of_distances = 0;
  for (const float d : distances) {
    if (scale.rho == 0 && d > 0) scale.rho = d;
    sum_of_distances += d;
  }
  const auto neighbours = static_cast<double>(distances.size() + 1);
  const double target = std::log2(neighbours);
  float low = 0, high = std::numeric_limits<float>::infinity(), middle = 1;
  for (int step = 0; step < options.bisections; ++step) {
    float sum = 0;
    for (const float d : distances) sum += d > scale.rho ? std::exp(-((d - scale.rho) / middle)) : 1.0F;
    if (std::abs(static_cast<double>(sum) - target) < options.tolerance) break;
    if (static_cast<double>(sum) > target) {
      high = middle;
      middle = (low + high) / 2;
    } else {
      low = middle;
      middle = std::isinf(high) ? middle * 2 : (low + high) / 2;
    }
  }
  const double mean = scale.rho > 0 ? static_cast<double>(sum_of_distances) / neighbours : everywhere;
  scale.sigma = (std::max)(middle, static_cast<float>(options.smallest_bandwidth * mean));
  return scale;
}

/// W + W^T - W o W^T of rows with a fixed number of entries, columns ascending; entries that are 0 are left
/// out.
inline WeightedGraph fuzzy_union(std::int64_t n, std::int64_t per_row,
                                 const std::vector<std::int32_t>& columns,
                                 const std::vector<float>& weights) {
  const auto count = static_cast<std::size_t>(n), width = static_cast<std::size_t>(per_row);
  // The transpose by counting; rows come in ascending order, so its columns ascend too.
  std::vector<std::int64_t> begin(count + 1, 0);
  for (const std::int32_t j : columns) ++begin[static_cast<std::size_t>(j) + 1];
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<std::int32_t> from(columns.size());
  std::vector<float> back(columns.size());
  {
    std::vector<std::int64_t> next(begin.begin(), begin.end() - 1);
    for (std::size_t e = 0; e < columns.size(); ++e) {
      const auto place = static_cast<std::size_t>(next[static_cast<std::size_t>(columns[e])]++);
      from[place] = static_cast<std::int32_t>(e / width);
      back[place] = weights[e];
    }
  }
  auto merge_row = [&](std::size_t i, auto&& emit) {
    std::size_t a = i * width, b = static_cast<std::size_t>(begin[i]);
    const std::size_t a_end = a + width, b_end = static_cast<std::size_t>(begin[i + 1]);
    while (a < a_end || b < b_end) {
      const std::int32_t left = a < a_end ? columns[a] : (std::numeric_limits<std::int32_t>::max)();
      const std::int32_t right = b < b_end ? from[b] : (std::numeric_limits<std::int32_t>::max)();
      const float forth = left <= right ? weights[a] : 0.0F, reverse = right <= left ? back[b] : 0.0F;
      a += left <= right ? 1 : 0;
      b += right <= left ? 1 : 0;
      const float weight = (forth + reverse) - forth * reverse;
      if (weight > 0) emit((std::min)(left, right), weight);
    }
  };
  WeightedGraph graph;
  graph.nodes = n;
  graph.row_offsets.assign(count + 1, 0);
  parallel_for(n, 4096, [&](std::int64_t first, std::int64_t last) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
      merge_row(i, [&](std::int32_t, float) { ++graph.row_offsets[i + 1]; });
  });
  std::partial_sum(graph.row_offsets.begin(), graph.row_offsets.end(), graph.row_offsets.begin());
  graph.columns.resize(static_cast<std::size_t>(graph.row_offsets.back()));
  graph.weights.resize(graph.columns.size());
  parallel_for(n, 4096, [&](std::int64_t first, std::int64_t last) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
      auto place = static_cast<std::size_t>(graph.row_offsets[i]);
      merge_row(i, [&](std::int32_t column, float weight) {
        graph.columns[place] = column;
        graph.weights[place++] = weight;
      });
    }
  });
  return graph;
}
}  // namespace detail

/// The graph of `z` [N, 2]. Fewer points than n_neighbors: 1 + N / 2 neighbours are used instead (as scanpy
/// does); one point or none gives a graph without edges. \throws as nearest_neighbours_2d; UsageError for
/// n_neighbors < 2. *Cost* O(N log N), about 2 us a point; memory about 300 bytes a point. *Deterministic*
/// yes, any thread count.
STOFM_INLINE WeightedGraph umap_graph_2d(TensorView<const double> z, const UmapOptions& options = {});

}  // namespace stofm::cluster

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto cluster::umap_graph_2d(TensorView<const double> z, const UmapOptions& options)
    -> WeightedGraph {
  if (options.n_neighbors < 2)
    throw UsageError({"STOFM-1206", "", "n_neighbors", std::to_string(options.n_neighbors), "at least 2",
                      "The point itself counts."});
  detail::require_points_2d(z, "[umap_graph_2d]");
  const std::int64_t n = z.dim(0);
  const std::int64_t neighbours = options.n_neighbors > n ? 1 + n / 2 : options.n_neighbors;
  WeightedGraph empty;
  empty.nodes = n;
  empty.row_offsets.assign(static_cast<std::size_t>(n) + 1, 0);
  if (n < 2) return empty;
  Neighbours2d nearest =
      options.search ? options.search(z, neighbours - 1) : nearest_neighbours_2d(z, neighbours - 1);
  const auto width = static_cast<std::size_t>(nearest.k);
  std::vector<float> weights(nearest.indices.size());
  std::vector<double> chunk_sums(static_cast<std::size_t>((n + 1023) / 1024), 0.0);
  parallel_for(n, 1024, [&](std::int64_t first, std::int64_t last) {
    double sum = 0;
    for (auto e = static_cast<std::size_t>(first) * width; e < static_cast<std::size_t>(last) * width; ++e) {
      weights[e] = static_cast<float>(std::sqrt(nearest.squared_distances[e]));
      sum += static_cast<double>(weights[e]);
    }
    chunk_sums[static_cast<std::size_t>(first / 1024)] = sum;
  });
  std::vector<double>().swap(nearest.squared_distances);
  double everywhere = 0;
  for (const double sum : chunk_sums) everywhere += sum;
  everywhere /= static_cast<double>(n) * static_cast<double>(neighbours);

  parallel_for(n, 1024, [&](std::int64_t first, std::int64_t last) {
    struct Entry {
      std::int32_t column;
      float weight;
      bool operator<(const Entry& other) const { return column < other.column; }
    };
    std::vector<Entry> row(width);
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
      const std::span<float> distances(weights.data() + i * width, width);
      const detail::RowScale scale = detail::umap_row_scale(distances, everywhere, options);
      for (std::size_t j = 0; j < width; ++j) {
        const float excess = distances[j] - scale.rho;
        const float weight = excess <= 0 || scale.sigma == 0 ? 1.0F : std::exp(-(excess / scale.sigma));
        row[j] = {nearest.indices[i * width + j], weight};
      }
      std::sort(row.begin(), row.end());
      for (std::size_t j = 0; j < width; ++j) {
        nearest.indices[i * width + j] = row[j].column;
        weights[i * width + j] = row[j].weight;
      }
    }
  });
  return detail::fuzzy_union(n, nearest.k, nearest.indices, weights);
}

}  // namespace stofm
#endif
