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
/// Passes repeat until one changes nothing. Source: Traag, Waltman, van Eck, "From Louvain to Leiden" (2019),
/// algorithm A.2, with the refinement's random choice replaced by the best one (the limit theta -> 0), which
/// makes the result a function of the graph and the seed.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "stofm/cluster/leiden_steps.hpp"
#include "stofm/cluster/weighted_graph.hpp"
#include "stofm/core/random.hpp"

namespace stofm::cluster {

struct LeidenOptions {
  double resolution = 1.0;       ///< g; SPEC section 3
  std::int64_t max_passes = -1;  ///< -1: until stable (SPEC section 3)
  std::uint64_t seed = 0;        ///< of the order in which nodes are looked at
};

struct LeidenResult {
  std::vector<std::int32_t>
      labels;  ///< [nodes], clusters numbered by size, largest first; equal sizes by first node
  std::int64_t clusters = 0;
  double modularity = 0;
  std::int64_t passes = 0;
};

namespace detail {
/// The graph whose nodes are the parts. Entries of a row come in order of first meeting.
template <class Weight>
LeidenLevel aggregate(const LeidenRows<Weight>& rows, std::span<const double> degrees,
                      const std::vector<std::int32_t>& part, std::int64_t parts) {
  const std::size_t n = degrees.size(), count = static_cast<std::size_t>(parts);
  std::vector<std::int64_t> begin(count + 1, 0);
  std::vector<std::int32_t> by_part(n);
  for (std::size_t i = 0; i < n; ++i) ++begin[static_cast<std::size_t>(part[i]) + 1];
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  {
    std::vector<std::int64_t> next(begin.begin(), begin.end() - 1);
    for (std::size_t i = 0; i < n; ++i)
      by_part[static_cast<std::size_t>(next[static_cast<std::size_t>(part[i])]++)] =
          static_cast<std::int32_t>(i);
  }
  LeidenLevel level;
  level.offsets.assign(count + 1, 0);
  level.degrees.assign(count, 0.0);
  ClusterWeights around(count);
  for (std::size_t p = 0; p < count; ++p) {
    for (auto m = static_cast<std::size_t>(begin[p]); m < static_cast<std::size_t>(begin[p + 1]); ++m) {
      const auto i = static_cast<std::size_t>(by_part[m]);
      level.degrees[p] += degrees[i];
      for (std::int64_t e = rows.offsets[i]; e < rows.offsets[i + 1]; ++e) {
        const std::int32_t other = part[static_cast<std::size_t>(rows.columns[e])];
        if (other != static_cast<std::int32_t>(p)) around.add(other, static_cast<double>(rows.weights[e]));
      }
    }
    for (const std::int32_t c : around.touched()) {
      level.columns.push_back(c);
      level.weights.push_back(around.of(c));
    }
    around.clear();
    level.offsets[p + 1] = static_cast<std::int64_t>(level.columns.size());
  }
  return level;
}

/// Clusters (ids below `bound`) renumbered from 0 in order of first node. \return their number.
inline std::int64_t compact(std::vector<std::int32_t>& cluster, std::size_t bound) {
  std::vector<std::int32_t> number(bound, -1);
  std::int32_t next = 0;
  for (std::int32_t& c : cluster) {
    std::int32_t& id = number[static_cast<std::size_t>(c)];
    if (id < 0) id = next++;
    c = id;
  }
  return next;
}

/// Step from one level to the next smaller one: refine, aggregate, carry the clusters over.
/// \return false if nothing merged.
template <class Weight>
bool coarsen(const LeidenRows<Weight>& rows, std::span<const double> degrees, double factor,
             std::vector<std::int32_t>& cluster, Random& random, std::vector<std::int32_t>& part,
             LeidenLevel& next) {
  std::int64_t parts = 0;
  part = refine(rows, degrees, factor, cluster, random, parts);
  if (parts == static_cast<std::int64_t>(degrees.size())) return false;
  next = aggregate(rows, degrees, part, parts);
  std::vector<std::int32_t> carried(static_cast<std::size_t>(parts));
  for (std::size_t i = 0; i < part.size(); ++i) carried[static_cast<std::size_t>(part[i])] = cluster[i];
  compact(carried, degrees.size());
  cluster = std::move(carried);
  return true;
}

/// One pass from the clusters given; they are replaced by those found (compact). \return whether anything
/// moved.
inline bool leiden_pass(const WeightedGraph& graph, std::span<const double> degrees, double factor,
                        std::vector<std::int32_t>& labels, Random& random) {
  const LeidenRows<float> base{graph.row_offsets.data(), graph.columns.data(), graph.weights.data()};
  std::vector<std::int32_t> cluster = labels, part;
  bool moved = move_nodes(base, degrees, factor, cluster, random);
  LeidenLevel level;
  labels = cluster;
  std::vector<std::int32_t> node_of(
      labels.size());  // node of the current level that holds each node of the graph
  bool merged = coarsen(base, degrees, factor, cluster, random, part, level);
  if (merged) node_of = part;
  while (merged) {
    const LeidenRows<double> rows{level.offsets.data(), level.columns.data(), level.weights.data()};
    moved = move_nodes(rows, level.degrees, factor, cluster, random) || moved;
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = cluster[static_cast<std::size_t>(node_of[i])];
    LeidenLevel next;
    merged = coarsen(rows, level.degrees, factor, cluster, random, part, next);
    if (!merged) break;
    for (std::int32_t& node : node_of) node = part[static_cast<std::size_t>(node)];
    level = std::move(next);
  }
  compact(labels, labels.size());
  return moved;
}
}  // namespace detail

/// Clusters of `graph`. No cap on their number; islands stay apart; a node without edges is a cluster of its
/// own. Throws: UsageError for a resolution that is not positive, ShapeError for an inconsistent graph. Cost:
/// about 1 us per listed entry and pass, 3 to 20 passes; memory about 80 bytes a node and 12 an entry beyond
/// the graph. Deterministic: yes, for a seed; one thread, no recursion.
inline LeidenResult leiden(const WeightedGraph& graph, const LeidenOptions& options = {}) {
  if (!(options.resolution > 0))
    throw UsageError({"STOFM-1212", "", "resolution", concat(options.resolution), "a number > 0",
                      "The published value is 1."});
  const auto n = static_cast<std::size_t>(graph.nodes);
  if (graph.row_offsets.size() != n + 1 || graph.row_offsets.back() != graph.entries() ||
      graph.weights.size() != graph.columns.size())
    throw ShapeError({"STOFM-1213", "", "[leiden]",
                      concat(graph.row_offsets.size(), " offsets, ", graph.weights.size(), " weights"),
                      concat(n + 1, " offsets, ", graph.entries(), " weights"), "Check the graph."});
  LeidenResult result;
  result.labels.resize(n);
  std::iota(result.labels.begin(), result.labels.end(), 0);
  std::vector<double> degrees(n, 0.0);
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::int64_t e = graph.row_offsets[i]; e < graph.row_offsets[i + 1]; ++e)
      degrees[i] += static_cast<double>(graph.weights[static_cast<std::size_t>(e)]);
    total += degrees[i];
  }
  if (total > 0) {
    const double factor = options.resolution / total;
    bool moved = true;
    while (moved && (options.max_passes < 0 || result.passes < options.max_passes)) {
      Random random(options.seed, static_cast<std::uint64_t>(result.passes));
      moved = detail::leiden_pass(graph, degrees, factor, result.labels, random);
      ++result.passes;
    }
  }
  result.clusters = detail::compact(result.labels, n);
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(result.clusters), 0);
  for (const std::int32_t label : result.labels) ++sizes[static_cast<std::size_t>(label)];
  std::vector<std::int32_t> order(sizes.size()), rank(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return sizes[static_cast<std::size_t>(a)] > sizes[static_cast<std::size_t>(b)];
  });
  for (std::size_t r = 0; r < order.size(); ++r)
    rank[static_cast<std::size_t>(order[r])] = static_cast<std::int32_t>(r);
  for (std::int32_t& label : result.labels) label = rank[static_cast<std::size_t>(label)];
  result.modularity = modularity(graph, result.labels, options.resolution);
  return result;
}

}  // namespace stofm::cluster
