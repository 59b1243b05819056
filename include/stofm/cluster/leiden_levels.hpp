// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The third step of Leiden, parts become the nodes of a smaller graph, and the passes made of the three.
/// Used by leiden.hpp, where the method and its source are named.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "stofm/cluster/leiden_refine.hpp"
#include "stofm/cluster/leiden_steps.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::cluster {

namespace detail {
/// The graph whose nodes are the parts. Entries of a row come in order of first meeting. *Deterministic* yes,
/// any thread count, as rows are made apart.
template <class Weight>
LeidenLevel aggregate(const LeidenRows<Weight>& rows, std::span<const double> degrees,
                      const std::vector<std::int32_t>& part, std::int64_t parts) {
  constexpr std::int64_t grain = 8192;
  const auto count = static_cast<std::size_t>(parts);
  const LeidenGroups groups(part, count);
  LeidenLevel level;
  level.offsets.assign(count + 1, 0);
  level.degrees.assign(count, 0.0);
  struct Entries {
    std::vector<std::int32_t> columns;
    std::vector<double> weights;
  };
  std::vector<Entries> chunks((count + grain - 1) / grain);
  parallel_for(parts, grain, [&](std::int64_t first, std::int64_t last) {
    ClusterWeights around(count);
    Entries& made = chunks[static_cast<std::size_t>(first / grain)];
    for (auto p = static_cast<std::size_t>(first); p < static_cast<std::size_t>(last); ++p) {
      for (const std::int32_t node : groups.of(p)) {
        const auto i = static_cast<std::size_t>(node);
        level.degrees[p] += degrees[i];
        for (std::int64_t e = rows.offsets[i]; e < rows.offsets[i + 1]; ++e)
          around.add(part[static_cast<std::size_t>(rows.columns[e])], static_cast<double>(rows.weights[e]));
      }
      for (const std::int32_t c : around.touched()) {
        if (c == static_cast<std::int32_t>(p)) continue;
        made.columns.push_back(c);
        made.weights.push_back(around.of(c));
        ++level.offsets[p + 1];
      }
      around.clear();
    }
  });
  std::partial_sum(level.offsets.begin(), level.offsets.end(), level.offsets.begin());
  level.columns.resize(static_cast<std::size_t>(level.offsets.back()));
  level.weights.resize(level.columns.size());
  parallel_for(parts, grain, [&](std::int64_t first, std::int64_t) {
    const Entries& made = chunks[static_cast<std::size_t>(first / grain)];
    const std::int64_t at = level.offsets[static_cast<std::size_t>(first)];
    std::copy(made.columns.begin(), made.columns.end(), level.columns.data() + at);
    std::copy(made.weights.begin(), made.weights.end(), level.weights.data() + at);
  });
  return level;
}

/// Step from one level to the next smaller one: refine, aggregate, carry the clusters over.
/// \return false if nothing merged.
template <class Weight>
bool coarsen(const LeidenRows<Weight>& rows, std::span<const double> degrees, double factor,
             std::vector<std::int32_t>& cluster, LeidenOrders& orders, std::vector<std::int32_t>& part,
             LeidenLevel& next) {
  std::int64_t parts = 0;
  part = refine(rows, degrees, factor, cluster, orders, parts);
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
template <class Weight>
bool leiden_pass(const LeidenRows<Weight>& base, std::span<const double> degrees, double factor,
                 std::vector<std::int32_t>& labels, LeidenOrders& orders, const StopCheck& stop) {
  std::vector<std::int32_t> cluster = labels, part;
  bool moved = move_nodes(base, degrees, factor, cluster, orders, stop);
  LeidenLevel level;
  labels = cluster;
  std::vector<std::int32_t> node_of(
      labels.size());  // node of the current level that holds each node of the graph
  bool merged = coarsen(base, degrees, factor, cluster, orders, part, level);
  if (merged) node_of = part;
  while (merged) {
    const LeidenRows<double> rows = level.rows();
    moved = move_nodes(rows, level.degrees, factor, cluster, orders, stop) || moved;
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = cluster[static_cast<std::size_t>(node_of[i])];
    LeidenLevel next;
    merged = coarsen(rows, level.degrees, factor, cluster, orders, part, next);
    if (!merged) break;
    for (std::int32_t& node : node_of) node = part[static_cast<std::size_t>(node)];
    level = std::move(next);
  }
  compact(labels, labels.size());
  return moved;
}

/// 1 for each cluster of `now` that is no cluster of `before`. Both compact, of the same nodes.
inline std::vector<std::uint8_t> changed_clusters(std::span<const std::int32_t> before,
                                                  std::span<const std::int32_t> now) {
  const auto count = [](std::span<const std::int32_t> labels) {
    return labels.empty() ? std::size_t{0}
                          : static_cast<std::size_t>(*std::max_element(labels.begin(), labels.end())) + 1;
  };
  std::vector<std::int64_t> size_before(count(before), 0), size(count(now), 0);
  std::vector<std::int32_t> origin(size.size(), -1);
  std::vector<std::uint8_t> changed(size.size(), 0);
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto c = static_cast<std::size_t>(now[i]);
    ++size_before[static_cast<std::size_t>(before[i])];
    ++size[c];
    if (origin[c] < 0) origin[c] = before[i];
    if (origin[c] != before[i]) changed[c] = 1;
  }
  for (std::size_t c = 0; c < changed.size(); ++c)
    if (size[c] != size_before[static_cast<std::size_t>(origin[c])]) changed[c] = 1;
  return changed;
}

/// A pass over the clusters that are `open` alone: each other one is a single node, which may move or be
/// joined, but stays whole. Clusters as in leiden_pass. *Cost* one look at each entry, and a pass over the
/// nodes of open clusters.
inline void leiden_pass_within(const LeidenRows<float>& base, std::span<const double> degrees, double factor,
                               const std::vector<std::uint8_t>& open, std::vector<std::int32_t>& labels,
                               LeidenOrders& orders, const StopCheck& stop) {
  const std::size_t n = labels.size();
  std::vector<std::int32_t> part(n), node_of_closed(open.size(), -1), cluster;
  for (std::size_t i = 0; i < n; ++i) {
    const auto c = static_cast<std::size_t>(labels[i]);
    if (!open[c] && node_of_closed[c] >= 0) {
      part[i] = node_of_closed[c];
      continue;
    }
    part[i] = node_of_closed[c] = static_cast<std::int32_t>(cluster.size());
    cluster.push_back(labels[i]);
  }
  const LeidenLevel level = aggregate(base, degrees, part, static_cast<std::int64_t>(cluster.size()));
  leiden_pass(level.rows(), level.degrees, factor, cluster, orders, stop);
  for (std::size_t i = 0; i < n; ++i) labels[i] = cluster[static_cast<std::size_t>(part[i])];
  compact(labels, n);
}
}  // namespace detail

}  // namespace stofm::cluster
