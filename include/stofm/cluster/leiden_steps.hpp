// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the steps of Leiden share, and the first of them: moving nodes between clusters. Used by leiden.hpp,
/// where the method and its source are named.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/core/stop_check.hpp"

namespace stofm::cluster {

namespace detail {
/// Rows of either kind of graph.
template <class Weight>
struct LeidenRows {
  const std::int64_t* offsets;
  const std::int32_t* columns;
  const Weight* weights;
};

/// A level of the hierarchy: weights in double, what lies inside a node counted in its degree only.
struct LeidenLevel {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> columns;
  std::vector<double> weights;
  std::vector<double> degrees;

  LeidenRows<double> rows() const { return {offsets.data(), columns.data(), weights.data()}; }
};

/// Weights from one node to the clusters around it: dense array plus the list of clusters touched. `add` has
/// no branch, as no processor could foresee it.
class ClusterWeights {
 public:
  explicit ClusterWeights(std::size_t clusters) : weight_(clusters, -1.0), touched_(clusters + 1) {}
  void add(std::int32_t cluster, double weight) {
    double& w = weight_[static_cast<std::size_t>(cluster)];
    touched_[count_] = cluster;
    count_ += w < 0 ? 1 : 0;
    w = (std::max)(w, 0.0) + weight;
  }
  double of(std::int32_t cluster) const {
    return (std::max)(weight_[static_cast<std::size_t>(cluster)], 0.0);
  }
  /// In order of first meeting.
  std::span<const std::int32_t> touched() const { return {touched_.data(), count_}; }
  void clear() {
    for (const std::int32_t c : touched()) weight_[static_cast<std::size_t>(c)] = -1.0;
    count_ = 0;
  }
  /// Room for clusters below `clusters`. Nothing may be touched.
  void reserve(std::size_t clusters) {
    if (weight_.size() >= clusters) return;
    weight_.resize(clusters, -1.0);
    touched_.resize(clusters + 1);
  }

 private:
  std::vector<double> weight_;
  std::vector<std::int32_t> touched_;
  std::size_t count_ = 0;
};

/// Smallest advantage that counts, as a share of the node's degree: below it is the rounding of incremental
/// sums.
inline constexpr double leiden_tolerance = 1e-10;

/// Random orders in which nodes are looked at: all shuffled, or block by block. Nodes of a block lie together
/// in memory, so where neighbours have near numbers the second walks through the caches, not past them.
class LeidenOrders {
 public:
  LeidenOrders(std::uint64_t seed, std::int64_t pass, std::size_t block)
      : random_(seed, static_cast<std::uint64_t>(pass)), block_(block) {}

  /// A permutation of 0 to count - 1.
  std::vector<std::int32_t> draw(std::size_t count) {
    std::vector<std::int32_t> order(count);
    if (count <= block_) {
      std::iota(order.begin(), order.end(), 0);
      shuffle(order);
      return order;
    }
    std::vector<std::int32_t> blocks((count + block_ - 1) / block_);
    std::iota(blocks.begin(), blocks.end(), 0);
    shuffle(blocks);
    std::size_t at = 0;
    for (const std::int32_t b : blocks) {
      const std::size_t begin = static_cast<std::size_t>(b) * block_,
                        size = (std::min)(block_, count - begin);
      const std::span<std::int32_t> part(order.data() + at, size);
      std::iota(part.begin(), part.end(), static_cast<std::int32_t>(begin));
      shuffle(part);
      at += size;
    }
    return order;
  }

 private:
  void shuffle(std::span<std::int32_t> order) {
    for (std::size_t i = order.size(); i > 1; --i) {
      const std::uint64_t draw =
          (std::uint64_t{random_.bits()} * i) >> 32;  // bias below 2^-32 n does not matter here
      std::swap(order[i - 1], order[draw]);
    }
  }

  Random random_;
  std::size_t block_;
};

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

/// Nodes by their label: those of label c are nodes[begin[c]] to nodes[begin[c + 1] - 1], ascending.
struct LeidenGroups {
  std::vector<std::int64_t> begin;
  std::vector<std::int32_t> nodes;

  LeidenGroups(std::span<const std::int32_t> label, std::size_t labels)
      : begin(labels + 2, 0), nodes(label.size()) {
    for (const std::int32_t c : label) ++begin[static_cast<std::size_t>(c) + 2];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    for (std::size_t i = 0; i < label.size(); ++i)  // leaves begin[c + 1] at the end of c
      nodes[static_cast<std::size_t>(begin[static_cast<std::size_t>(label[i]) + 1]++)] =
          static_cast<std::int32_t>(i);
    begin.pop_back();
  }
  std::span<const std::int32_t> of(std::size_t c) const {
    return {nodes.data() + begin[c], static_cast<std::size_t>(begin[c + 1] - begin[c])};
  }
};

/// Moves nodes to their best cluster until no node gains. Cluster ids are below the number of nodes.
/// \return whether anything moved.
template <class Weight>
bool move_nodes(const LeidenRows<Weight>& rows, std::span<const double> degrees, double factor,
                std::vector<std::int32_t>& cluster, LeidenOrders& orders, const StopCheck& stop) {
  constexpr std::size_t nodes_between_checks = 8192;
  const std::size_t n = degrees.size();
  std::vector<double> total(n, 0.0);
  std::vector<std::int32_t> members(n, 0), empty;
  for (std::size_t i = 0; i < n; ++i) {
    total[static_cast<std::size_t>(cluster[i])] += degrees[i];
    ++members[static_cast<std::size_t>(cluster[i])];
  }
  for (std::size_t c = n; c-- > 0;)
    if (members[c] == 0) empty.push_back(static_cast<std::int32_t>(c));
  std::vector<std::int32_t> queue = orders.draw(n);  // circular
  std::vector<std::uint8_t> queued(n, 1);
  std::size_t head = 0, waiting = n;
  ClusterWeights around(n);
  bool moved = false;
  std::size_t looked_at = 0;
  while (waiting > 0) {
    if (looked_at++ % nodes_between_checks == 0) stop();
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
}  // namespace detail

}  // namespace stofm::cluster
