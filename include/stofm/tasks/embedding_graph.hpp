// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The fuzzy simplicial set of UMAP over neighbours in any dimension: what Leiden and the layout work on.
/// The weights are those of cluster/umap_graph.hpp, where formulas and source stand.

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/cluster/umap_graph.hpp"
#include "stofm/tasks/neighbours.hpp"

namespace stofm::tasks {

/// Graph of `neighbours` (each point among the others, as nearest_neighbours(points, k) gives them; scanpy's
/// n_neighbors counts the point itself, so its 15 are k = 14). \throws ShapeError (STOFM-4714) where an index
/// is out of range. *Cost* O(N k log k), parallel; memory about 24 N k bytes. *Deterministic* yes, any thread
/// count.
inline cluster::WeightedGraph embedding_graph(const Neighbours& neighbours) {
  const std::int64_t n = neighbours.queries, k = neighbours.k;
  const auto width = static_cast<std::size_t>(k);
  cluster::WeightedGraph empty;
  empty.nodes = n;
  empty.row_offsets.assign(static_cast<std::size_t>(n) + 1, 0);
  if (n < 2 || k == 0) return empty;
  for (std::size_t e = 0; e < neighbours.indices.size(); ++e)
    if (neighbours.indices[e] < 0 || neighbours.indices[e] >= n ||
        neighbours.indices[e] == static_cast<std::int32_t>(e / width))
      throw ShapeError({"STOFM-4714", "", concat("[embedding_graph] point ", e / width),
                        concat("neighbour ", neighbours.indices[e]), concat("another point in [0, ", n, ")"),
                        "Give the neighbours of points among themselves."});
  std::vector<std::int32_t> columns(neighbours.indices);
  std::vector<float> weights(neighbours.distances.size());
  std::vector<double> chunk_sums(static_cast<std::size_t>((n + 1023) / 1024), 0.0);
  parallel_for(n, 1024, [&](std::int64_t first, std::int64_t last) {
    double sum = 0;
    for (auto e = static_cast<std::size_t>(first) * width; e < static_cast<std::size_t>(last) * width; ++e) {
      weights[e] = static_cast<float>((std::max)(neighbours.distances[e], 0.0));
      sum += static_cast<double>(weights[e]);
    }
    chunk_sums[static_cast<std::size_t>(first / 1024)] = sum;
  });
  double everywhere = 0;
  for (const double sum : chunk_sums) everywhere += sum;
  everywhere /= static_cast<double>(n) * static_cast<double>(k + 1);
  const cluster::UmapOptions options;
  parallel_for(n, 1024, [&](std::int64_t first, std::int64_t last) {
    std::vector<std::pair<std::int32_t, float>> row(width);
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
      const std::span<float> distances(weights.data() + i * width, width);
      const auto scale = cluster::detail::umap_row_scale(distances, everywhere, options);
      for (std::size_t j = 0; j < width; ++j) {
        const float excess = distances[j] - scale.rho;
        row[j] = {columns[i * width + j],
                  excess <= 0 || scale.sigma == 0 ? 1.0F : std::exp(-(excess / scale.sigma))};
      }
      std::sort(row.begin(), row.end());
      for (std::size_t j = 0; j < width; ++j) {
        columns[i * width + j] = row[j].first;
        weights[i * width + j] = row[j].second;
      }
    }
  });
  return cluster::detail::fuzzy_union(n, k, columns, weights);
}

}  // namespace stofm::tasks
