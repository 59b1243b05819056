// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The two steps of Leiden that look at neighbours: moving nodes between clusters, and refining clusters into
/// parts. Used by leiden.hpp, where the method and its source are named.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"

namespace stofm::cluster {

namespace detail {
/// A level of the hierarchy: weights in double, what lies inside a node counted in its degree only.
struct LeidenLevel {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> columns;
  std::vector<double> weights;
  std::vector<double> degrees;

  std::size_t nodes() const { return degrees.size(); }
};

/// Rows of either kind of graph.
template <class Weight>
struct LeidenRows {
  const std::int64_t* offsets;
  const std::int32_t* columns;
  const Weight* weights;
};

/// Weights from one node to the clusters around it: dense array plus the list of clusters touched.
class ClusterWeights {
 public:
  explicit ClusterWeights(std::size_t clusters) : weight_(clusters, -1.0) {}
  void add(std::int32_t cluster, double weight) {
    double& w = weight_[static_cast<std::size_t>(cluster)];
    if (w < 0) {
      touched_.push_back(cluster);
      w = weight;
    } else {
      w += weight;
    }
  }
  double of(std::int32_t cluster) const {
    return (std::max)(weight_[static_cast<std::size_t>(cluster)], 0.0);
  }
  const std::vector<std::int32_t>& touched() const { return touched_; }
  void clear() {
    for (const std::int32_t c : touched_) weight_[static_cast<std::size_t>(c)] = -1.0;
    touched_.clear();
  }

 private:
  std::vector<double> weight_;
  std::vector<std::int32_t> touched_;
};

/// Smallest advantage that counts, as a share of the node's degree: below it is the rounding of incremental
/// sums.
inline constexpr double leiden_tolerance = 1e-10;

inline std::vector<std::int32_t> shuffled(std::size_t count, Random& random) {
  std::vector<std::int32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = count; i > 1; --i) {
    const std::uint64_t draw =
        (std::uint64_t{random.bits()} * i) >> 32;  // bias below 2^-32 n does not matter here
    std::swap(order[i - 1], order[draw]);
  }
  return order;
}

/// Moves nodes to their best cluster until no node gains. Cluster ids are below the number of nodes.
/// \return whether anything moved.
template <class Weight>
bool move_nodes(const LeidenRows<Weight>& rows, std::span<const double> degrees, double factor,
                std::vector<std::int32_t>& cluster, Random& random) {
  const std::size_t n = degrees.size();
  std::vector<double> total(n, 0.0);
  std::vector<std::int32_t> members(n, 0), empty;
  for (std::size_t i = 0; i < n; ++i) {
    total[static_cast<std::size_t>(cluster[i])] += degrees[i];
    ++members[static_cast<std::size_t>(cluster[i])];
  }
  for (std::size_t c = n; c-- > 0;)
    if (members[c] == 0) empty.push_back(static_cast<std::int32_t>(c));
  std::vector<std::int32_t> queue = shuffled(n, random);  // circular
  std::vector<std::uint8_t> queued(n, 1);
  std::size_t head = 0, waiting = n;
  ClusterWeights around(n);
  bool moved = false;
  while (waiting > 0) {
    const auto i = static_cast<std::size_t>(queue[head]);
    head = head + 1 == n ? 0 : head + 1;
    --waiting;
    queued[i] = 0;
    const std::int32_t own = cluster[i];
    for (std::int64_t e = rows.offsets[i]; e < rows.offsets[i + 1]; ++e)
      around.add(cluster[static_cast<std::size_t>(rows.columns[e])], static_cast<double>(rows.weights[e]));
    const double scaled = factor * degrees[i];
    const double stay = around.of(own) - scaled * (total[static_cast<std::size_t>(own)] - degrees[i]);
    double best_gain = stay + leiden_tolerance * degrees[i];
    std::int32_t best = own;
    for (const std::int32_t c : around.touched()) {
      if (c == own) continue;
      const double gain = around.of(c) - scaled * total[static_cast<std::size_t>(c)];
      if (gain > best_gain || (gain == best_gain && best != own && c < best)) {
        best_gain = gain;
        best = c;
      }
    }
    if (best_gain < 0 && members[static_cast<std::size_t>(own)] > 1) best = empty.back();
    around.clear();
    if (best == own) continue;
    moved = true;
    total[static_cast<std::size_t>(own)] -= degrees[i];
    if (members[static_cast<std::size_t>(best)] == 0) empty.pop_back();
    if (--members[static_cast<std::size_t>(own)] == 0) {
      empty.push_back(own);
      total[static_cast<std::size_t>(own)] = 0;
    }
    total[static_cast<std::size_t>(best)] += degrees[i];
    ++members[static_cast<std::size_t>(best)];
    cluster[i] = best;
    for (std::int64_t e = rows.offsets[i]; e < rows.offsets[i + 1]; ++e) {
      const auto j = static_cast<std::size_t>(rows.columns[e]);
      if (queued[j] || cluster[j] == best) continue;
      queued[j] = 1;
      std::size_t tail = head + waiting;
      if (tail >= n) tail -= n;
      queue[tail] = static_cast<std::int32_t>(j);
      ++waiting;
    }
  }
  return moved;
}

/// Splits each cluster into well-connected parts: from single nodes, those that are well connected to their
/// cluster join the part that gains most. \return the part of each node, numbered from 0 in order of first
/// node.
template <class Weight>
std::vector<std::int32_t> refine(const LeidenRows<Weight>& rows, std::span<const double> degrees,
                                 double factor, const std::vector<std::int32_t>& cluster, Random& random,
                                 std::int64_t& parts) {
  const std::size_t n = degrees.size();
  std::vector<double> cluster_total(n, 0.0), total(degrees.begin(), degrees.end());
  std::vector<double> outward(n, 0.0);  // weight from a part to the rest of its cluster
  std::vector<std::int32_t> part(n), members(n, 1);
  std::iota(part.begin(), part.end(), 0);
  for (std::size_t i = 0; i < n; ++i) {
    cluster_total[static_cast<std::size_t>(cluster[i])] += degrees[i];
    for (std::int64_t e = rows.offsets[i]; e < rows.offsets[i + 1]; ++e)
      if (cluster[static_cast<std::size_t>(rows.columns[e])] == cluster[i])
        outward[i] += static_cast<double>(rows.weights[e]);
  }
  ClusterWeights around(n);
  for (const std::int32_t node : shuffled(n, random)) {
    const auto i = static_cast<std::size_t>(node);
    if (members[i] != 1 || part[i] != node) continue;  // no longer alone
    const double whole = cluster_total[static_cast<std::size_t>(cluster[i])];
    if (outward[i] < factor * degrees[i] * (whole - degrees[i])) continue;  // not well connected
    for (std::int64_t e = rows.offsets[i]; e < rows.offsets[i + 1]; ++e) {
      const auto j = static_cast<std::size_t>(rows.columns[e]);
      if (cluster[j] == cluster[i]) around.add(part[j], static_cast<double>(rows.weights[e]));
    }
    double best_gain = leiden_tolerance * degrees[i];
    std::int32_t best = node;
    for (const std::int32_t c : around.touched()) {
      const auto p = static_cast<std::size_t>(c);
      if (outward[p] < factor * total[p] * (whole - total[p])) continue;
      const double gain = around.of(c) - factor * degrees[i] * total[p];
      if (gain > best_gain || (gain == best_gain && best != node && c < best)) {
        best_gain = gain;
        best = c;
      }
    }
    if (best != node) {
      const auto p = static_cast<std::size_t>(best);
      outward[p] += outward[i] - 2 * around.of(best);
      total[p] += degrees[i];
      ++members[p];
      members[i] = 0;
      part[i] = best;
    }
    around.clear();
  }
  std::vector<std::int32_t> number(n, -1);
  std::int32_t next = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::int32_t& id = number[static_cast<std::size_t>(part[i])];
    if (id < 0) id = next++;
    part[i] = id;
  }
  parts = next;
  return part;
}
}  // namespace detail

}  // namespace stofm::cluster
