// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Undirected weighted graphs in compressed rows, and the modularity of a partition of one.

#include <cstdint>
#include <span>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::cluster {

/// Symmetric adjacency: every edge {i, j}, i != j, is listed in row i and in row j with the same weight.
struct WeightedGraph {
  std::int64_t nodes = 0;
  std::vector<std::int64_t> row_offsets{0};  ///< [nodes + 1]
  std::vector<std::int32_t> columns;         ///< [entries], ascending within a row
  std::vector<float> weights;                ///< [entries], > 0

  std::int64_t entries() const { return static_cast<std::int64_t>(columns.size()); }
};

namespace detail {
inline void require_labels(const WeightedGraph& graph, std::span<const std::int32_t> labels, const char* op) {
  if (static_cast<std::int64_t>(labels.size()) != graph.nodes)
    throw ShapeError({"STOFM-1210", "", op, concat(labels.size(), " labels"), concat(graph.nodes, " nodes"),
                      "Give one label per node."});
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= graph.nodes)
      throw ShapeError({"STOFM-1211", "", concat(op, " node ", i), std::to_string(labels[i]),
                        concat("a label in [0, ", graph.nodes, ")"), "Number the clusters from 0."});
}
}  // namespace detail

/// Modularity with resolution g: sum over clusters c of e_c / 2m - g (k_c / 2m)^2, where e_c sums the weights
/// of the listed entries inside c, k_c the weighted degrees of its nodes, 2m everything. 0 for a graph
/// without edges. *Source* Newman, "Analysis of weighted networks" (2004); resolution: Reichardt and
/// Bornholdt (2006).
inline double modularity(const WeightedGraph& graph, std::span<const std::int32_t> labels,
                         double resolution = 1.0) {
  detail::require_labels(graph, labels, "[modularity]");
  std::vector<double> degrees(static_cast<std::size_t>(graph.nodes), 0.0);  // of clusters
  double inside = 0, total = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    double degree = 0;
    for (auto e = static_cast<std::size_t>(graph.row_offsets[i]);
         e < static_cast<std::size_t>(graph.row_offsets[i + 1]); ++e) {
      const double weight = graph.weights[e];
      degree += weight;
      if (labels[static_cast<std::size_t>(graph.columns[e])] == labels[i]) inside += weight;
    }
    degrees[static_cast<std::size_t>(labels[i])] += degree;
    total += degree;
  }
  if (!(total > 0)) return 0;
  double expected = 0;
  for (const double degree : degrees) expected += (degree / total) * (degree / total);
  return inside / total - resolution * expected;
}

}  // namespace stofm::cluster
