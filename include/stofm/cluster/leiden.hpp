// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Leiden on modularity: clusters of a weighted graph, each connected, such that no node can move to gain
/// anything.
///
///     gain of node i in cluster c = w(i, c) - g k_i K_c / 2m
///
/// One pass: nodes move to their best cluster while any is queued; each cluster is refined into
/// well-connected parts; the parts become the nodes of a smaller graph, and so on until nothing merges.
/// Passes repeat until one changes nothing. *Source* Traag, Waltman, van Eck, "From Louvain to Leiden"
/// (2019), algorithm A.2, with the refinement's random choice replaced by the best one (the limit theta ->
/// 0), which makes the result a function of the graph and the seed.
///
/// Large graphs (LeidenWalk::local) are walked through differently, with the same guarantees: nodes are
/// numbered so that neighbours lie together in memory and visited block by block; and as most clusters are
/// done after a few passes, later passes split only those that the pass before changed.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "stofm/cluster/leiden_levels.hpp"
#include "stofm/cluster/leiden_options.hpp"
#include "stofm/cluster/number_by_size.hpp"
#include "stofm/cluster/weighted_graph.hpp"
#include "stofm/core/compiled.hpp"

namespace stofm::cluster {

struct LeidenResult {
  std::vector<std::int32_t>
      labels;  ///< [nodes], clusters numbered by size, largest first; equal sizes by first node
  std::int64_t clusters = 0;
  double modularity = 0;
  std::int64_t passes = 0;
};

namespace detail {
/// Nodes in the order of a breadth-first search; neighbours then lie near each other.
inline std::vector<std::int32_t> breadth_first_order(const WeightedGraph& graph) {
  const auto n = static_cast<std::size_t>(graph.nodes);
  std::vector<std::int32_t> order;
  order.reserve(n);
  std::vector<std::uint8_t> seen(n, 0);
  const auto visit = [&](std::int32_t node) {
    std::uint8_t& mark = seen[static_cast<std::size_t>(node)];
    if (mark == 0) order.push_back(node);
    mark = 1;
  };
  for (std::int32_t start = 0; order.size() < n; ++start) {
    std::size_t head = order.size();
    visit(start);
    for (; head < order.size(); ++head) {
      const auto i = static_cast<std::size_t>(order[head]);
      for (std::int64_t e = graph.row_offsets[i]; e < graph.row_offsets[i + 1]; ++e)
        visit(graph.columns[static_cast<std::size_t>(e)]);
    }
  }
  return order;
}

/// The graph with node order[k] as node k; entries keep their order within a row.
inline WeightedGraph renumbered(const WeightedGraph& graph, const std::vector<std::int32_t>& order) {
  const std::size_t n = order.size();
  std::vector<std::int32_t> number(n);
  for (std::size_t k = 0; k < n; ++k)
    number[static_cast<std::size_t>(order[k])] = static_cast<std::int32_t>(k);
  WeightedGraph result;
  result.nodes = graph.nodes;
  result.row_offsets.reserve(n + 1);
  result.columns.reserve(graph.columns.size());
  result.weights.reserve(graph.weights.size());
  for (const std::int32_t node : order) {
    const auto begin = static_cast<std::size_t>(graph.row_offsets[static_cast<std::size_t>(node)]),
               end = static_cast<std::size_t>(graph.row_offsets[static_cast<std::size_t>(node) + 1]);
    for (std::size_t e = begin; e < end; ++e)
      result.columns.push_back(number[static_cast<std::size_t>(graph.columns[e])]);
    result.weights.insert(result.weights.end(), graph.weights.begin() + static_cast<std::ptrdiff_t>(begin),
                          graph.weights.begin() + static_cast<std::ptrdiff_t>(end));
    result.row_offsets.push_back(result.entries());
  }
  return result;
}

/// Weighted degree of each node and, returned, their sum.
inline double sum_degrees(const WeightedGraph& graph, std::vector<double>& degrees) {
  double total = 0;
  for (std::size_t i = 0; i < degrees.size(); ++i) {
    for (std::int64_t e = graph.row_offsets[i]; e < graph.row_offsets[i + 1]; ++e)
      degrees[i] += static_cast<double>(graph.weights[static_cast<std::size_t>(e)]);
    total += degrees[i];
  }
  return total;
}

inline LeidenRows<float> rows_of(const WeightedGraph& graph) {
  return {graph.row_offsets.data(), graph.columns.data(), graph.weights.data()};
}

/// Passes over everything, from single nodes. \return their number.
inline std::int64_t leiden_everywhere(const WeightedGraph& graph, std::span<const double> degrees,
                                      double factor, const LeidenOptions& options,
                                      std::vector<std::int32_t>& labels) {
  std::int64_t passes = 0;
  for (bool moved = true; moved && passes != options.max_passes; ++passes) {
    LeidenOrders orders(options.seed, passes, labels.size());
    moved = leiden_pass(rows_of(graph), degrees, factor, labels, orders, options.stop);
  }
  return passes;
}

/// Two passes over everything, then over the clusters that the pass before changed while there are any; at
/// the end each node is asked once more, and where one moves it goes on. \return the number of passes.
inline std::int64_t leiden_local(const WeightedGraph& graph, std::span<const double> degrees, double factor,
                                 const LeidenOptions& options, std::vector<std::int32_t>& labels) {
  constexpr std::size_t block = 1024;  // rows of a block and of its neighbours fit a cache of 1 MB
  const LeidenRows<float> rows = rows_of(graph);
  std::vector<std::uint8_t> open;
  std::int64_t passes = 0;
  while (passes != options.max_passes) {
    LeidenOrders orders(options.seed, passes, block);
    std::vector<std::int32_t> before = labels;
    if (passes < 2)
      leiden_pass(rows, degrees, factor, labels, orders, options.stop);
    else
      leiden_pass_within(rows, degrees, factor, open, labels, orders, options.stop);
    ++passes;
    open = changed_clusters(before, labels);
    if (std::find(open.begin(), open.end(), 1) != open.end()) continue;
    before = labels;
    if (!move_nodes(rows, degrees, factor, labels, orders, options.stop)) break;
    compact(labels, labels.size());
    open = changed_clusters(before, labels);
  }
  return passes;
}
}  // namespace detail

/// Clusters of `graph`. No cap on their number; islands stay apart; a node without edges is a cluster of its
/// own. Until stable, no node can move alone to gain modularity. \throws UsageError for a resolution that is
/// not positive, ShapeError for an inconsistent graph, what `stop` throws. *Cost* everywhere 0.1 to 0.3 us
/// per listed entry and pass, 7 to 60 passes; local about 0.5 us per entry in all; memory about 80 bytes a
/// node and 12 an entry beyond the graph, local 20 and 8 more. *Deterministic* yes for a seed, any thread
/// count; no recursion.
STOFM_INLINE LeidenResult leiden(const WeightedGraph& graph, const LeidenOptions& options = {});

}  // namespace stofm::cluster

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto cluster::leiden(const WeightedGraph& graph, const LeidenOptions& options) -> LeidenResult {
  if (!(options.resolution > 0))
    throw UsageError({"STOFM-1212", "", "resolution", concat(options.resolution), "a number > 0",
                      "The published value is 1."});
  const auto n = static_cast<std::size_t>(graph.nodes);
  if (graph.row_offsets.size() != n + 1 || graph.row_offsets.back() != graph.entries() ||
      graph.weights.size() != graph.columns.size())
    throw ShapeError({"STOFM-1213", "", "[leiden]",
                      concat(graph.row_offsets.size(), " offsets, ", graph.weights.size(), " weights"),
                      concat(n + 1, " offsets, ", graph.entries(), " weights"), "Check the graph."});
  const bool local = options.walk == LeidenWalk::local ||
                     (options.walk == LeidenWalk::by_size && graph.nodes > leiden_everywhere_up_to);
  LeidenResult result;
  result.labels.resize(n);
  std::iota(result.labels.begin(), result.labels.end(), 0);
  std::vector<double> degrees(n, 0.0);
  if (local) {
    const std::vector<std::int32_t> order = detail::breadth_first_order(graph);
    const WeightedGraph near = detail::renumbered(graph, order);
    std::vector<std::int32_t> labels = result.labels;
    if (const double total = detail::sum_degrees(near, degrees); total > 0)
      result.passes = detail::leiden_local(near, degrees, options.resolution / total, options, labels);
    for (std::size_t k = 0; k < n; ++k) result.labels[static_cast<std::size_t>(order[k])] = labels[k];
  } else if (const double total = detail::sum_degrees(graph, degrees); total > 0) {
    result.passes =
        detail::leiden_everywhere(graph, degrees, options.resolution / total, options, result.labels);
  }
  result.clusters = static_cast<std::int64_t>(number_by_size(result.labels).size());
  result.modularity = modularity(graph, result.labels, options.resolution);
  return result;
}

}  // namespace stofm
#endif
