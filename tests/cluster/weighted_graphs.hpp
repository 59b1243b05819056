// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Small weighted graphs for tests of clustering, and what can be asked of a partition.

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "stofm/cluster/weighted_graph.hpp"
#include "stofm/core/random.hpp"

namespace stofm::test {

using Edges = std::map<std::pair<std::int32_t, std::int32_t>, float>;

inline cluster::WeightedGraph graph_of(std::int64_t nodes, const Edges& edges) {
  cluster::WeightedGraph graph;
  graph.nodes = nodes;
  std::vector<std::vector<std::pair<std::int32_t, float>>> rows(static_cast<std::size_t>(nodes));
  for (const auto& [pair, weight] : edges) {
    rows[static_cast<std::size_t>(pair.first)].emplace_back(pair.second, weight);
    rows[static_cast<std::size_t>(pair.second)].emplace_back(pair.first, weight);
  }
  for (auto& row : rows) {
    std::sort(row.begin(), row.end());
    for (const auto& [column, weight] : row) {
      graph.columns.push_back(column);
      graph.weights.push_back(weight);
    }
    graph.row_offsets.push_back(graph.entries());
  }
  return graph;
}

/// Blocks of `size` nodes, edges with probability `inside` or `outside`.
inline cluster::WeightedGraph planted(std::int64_t blocks, std::int64_t size, double inside, double outside,
                                      std::uint64_t seed) {
  Random random(seed, 5);
  Edges edges;
  const auto n = static_cast<std::int32_t>(blocks * size);
  for (std::int32_t i = 0; i < n; ++i)
    for (std::int32_t j = 0; j < i; ++j)
      if (random.uniform() < (i / size == j / size ? inside : outside))
        edges[{j, i}] = static_cast<float>(0.5 + random.uniform());
  return graph_of(n, edges);
}

/// Every cluster hangs together.
inline bool connected(const cluster::WeightedGraph& graph, const std::vector<std::int32_t>& labels,
                      std::int64_t clusters) {
  std::vector<char> seen(labels.size(), 0), started(static_cast<std::size_t>(clusters), 0);
  for (std::size_t s = 0; s < labels.size(); ++s) {
    if (seen[s]) continue;
    if (started[static_cast<std::size_t>(labels[s])]++) return false;
    std::vector<std::size_t> stack{s};
    seen[s] = 1;
    while (!stack.empty()) {
      const std::size_t i = stack.back();
      stack.pop_back();
      for (auto e = static_cast<std::size_t>(graph.row_offsets[i]);
           e < static_cast<std::size_t>(graph.row_offsets[i + 1]); ++e) {
        const auto j = static_cast<std::size_t>(graph.columns[e]);
        if (!seen[j] && labels[j] == labels[i]) {
          seen[j] = 1;
          stack.push_back(j);
        }
      }
    }
  }
  return true;
}

}  // namespace stofm::test
