// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The second step of Leiden: clusters are split into well-connected parts. Each cluster is copied into a
/// small graph of its own, which fits the caches and any thread. Used by leiden.hpp, where the method and its
/// source are named.

#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "stofm/cluster/leiden_steps.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::cluster {

namespace detail {
/// Refines one cluster at a time; holds the memory for that, so one of these per thread.
template <class Weight>
class ClusterRefinement {
 public:
  ClusterRefinement(const LeidenRows<Weight>& rows, std::span<const double> degrees, double factor,
                    const std::vector<std::int32_t>& place)
      : rows_(rows), degrees_(degrees), factor_(factor), place_(place) {}

  /// `nodes`: those of the cluster, ascending; `begin`: place of the first of them. `order`: the same by
  /// place, as they are looked at. Writes part[i], the number of a node of the cluster, for each.
  void refine(std::span<const std::int32_t> nodes, std::int64_t begin, std::span<const std::int32_t> order,
              std::vector<std::int32_t>& part) {
    const auto whole_count = nodes.size();
    if (whole_count == 1) {
      part[static_cast<std::size_t>(nodes[0])] = nodes[0];
      return;
    }
    copy_rows(nodes, begin);
    std::iota(part_.begin(), part_.end(), 0);
    for (const std::int32_t place : order) join(static_cast<std::int32_t>(place - begin));
    for (std::size_t l = 0; l < whole_count; ++l)
      part[static_cast<std::size_t>(nodes[l])] = nodes[static_cast<std::size_t>(part_[l])];
  }

 private:
  /// The cluster as a graph: entries between its nodes, which are numbered from 0 in the order of `nodes`.
  void copy_rows(std::span<const std::int32_t> nodes, std::int64_t begin) {
    const std::size_t count = nodes.size();
    offsets_.assign(1, 0);
    columns_.clear();
    weights_.clear();
    total_.resize(count);
    outward_.assign(count, 0.0);
    members_.assign(count, 1);
    part_.resize(count);
    around_.reserve(count);
    whole_ = 0;
    for (std::size_t l = 0; l < count; ++l) {
      const auto i = static_cast<std::size_t>(nodes[l]);
      total_[l] = degrees_[i];
      whole_ += degrees_[i];
      for (std::int64_t e = rows_.offsets[i]; e < rows_.offsets[i + 1]; ++e) {
        const std::int64_t other = place_[static_cast<std::size_t>(rows_.columns[e])] - begin;
        if (other < 0 || other >= static_cast<std::int64_t>(count)) continue;
        columns_.push_back(static_cast<std::int32_t>(other));
        weights_.push_back(rows_.weights[e]);
        outward_[l] += static_cast<double>(rows_.weights[e]);
      }
      offsets_.push_back(static_cast<std::int64_t>(columns_.size()));
    }
  }

  bool well_connected(std::size_t p) const {
    return outward_[p] >= factor_ * total_[p] * (whole_ - total_[p]);
  }

  /// Node `node`, if it is alone and well connected, joins the part that gains most.
  void join(std::int32_t node) {
    const auto i = static_cast<std::size_t>(node);
    if (members_[i] != 1 || part_[i] != node || !well_connected(i)) return;
    const double degree = total_[i];
    for (auto e = static_cast<std::size_t>(offsets_[i]); e < static_cast<std::size_t>(offsets_[i + 1]); ++e)
      around_.add(part_[static_cast<std::size_t>(columns_[e])], static_cast<double>(weights_[e]));
    double best_gain = leiden_tolerance * degree;
    std::int32_t best = node;
    for (const std::int32_t c : around_.touched()) {
      const auto p = static_cast<std::size_t>(c);
      if (!well_connected(p)) continue;
      const double gain = around_.of(c) - factor_ * degree * total_[p];
      if (gain > best_gain || (gain == best_gain && best != node && c < best)) {
        best_gain = gain;
        best = c;
      }
    }
    if (best != node) {
      const auto p = static_cast<std::size_t>(best);
      outward_[p] += outward_[i] - 2 * around_.of(best);
      total_[p] += degree;
      ++members_[p];
      members_[i] = 0;
      part_[i] = best;
    }
    around_.clear();
  }

  LeidenRows<Weight> rows_;
  std::span<const double> degrees_;
  double factor_;
  const std::vector<std::int32_t>& place_;
  double whole_ = 0;  ///< degree of the cluster
  std::vector<std::int64_t> offsets_;
  std::vector<std::int32_t> columns_, part_, members_;
  std::vector<Weight> weights_;
  std::vector<double> total_, outward_;  ///< of parts: degree; weight to the rest of the cluster
  ClusterWeights around_{0};
};

/// Splits each cluster into well-connected parts: from single nodes, those that are well connected to their
/// cluster join the part that gains most. \return the part of each node, numbered from 0 in order of first
/// node. *Deterministic* yes, any thread count, as clusters do not see each other.
template <class Weight>
std::vector<std::int32_t> refine(const LeidenRows<Weight>& rows, std::span<const double> degrees,
                                 double factor, const std::vector<std::int32_t>& cluster,
                                 LeidenOrders& orders, std::int64_t& parts) {
  const std::size_t n = degrees.size();
  const LeidenGroups groups(cluster, n);
  std::vector<std::int32_t> place(n), order(n), part(n);
  for (std::size_t p = 0; p < n; ++p)
    place[static_cast<std::size_t>(groups.nodes[p])] = static_cast<std::int32_t>(p);
  {
    std::vector<std::int64_t> next(groups.begin.begin(), groups.begin.end() - 1);
    for (const std::int32_t node : orders.draw(n)) {
      const auto i = static_cast<std::size_t>(node);
      order[static_cast<std::size_t>(next[static_cast<std::size_t>(cluster[i])]++)] = place[i];
    }
  }
  // A chunk does the clusters that begin in it.
  parallel_for(static_cast<std::int64_t>(n), 4096, [&](std::int64_t first, std::int64_t last) {
    ClusterRefinement<Weight> refinement(rows, degrees, factor, place);
    for (std::int64_t p = first; p < last;) {
      const auto c = static_cast<std::size_t>(
          cluster[static_cast<std::size_t>(groups.nodes[static_cast<std::size_t>(p)])]);
      const std::int64_t begin = groups.begin[c], end = groups.begin[c + 1];
      const auto count = static_cast<std::size_t>(end - begin);
      if (begin >= first) refinement.refine(groups.of(c), begin, {order.data() + begin, count}, part);
      p = end;
    }
  });
  parts = compact(part, n);
  return part;
}
}  // namespace detail

}  // namespace stofm::cluster
