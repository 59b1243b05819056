// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Leiden with a given number of clusters: the resolution is searched for, and where none gives the number,
/// the smallest clusters of the next finer partition are merged.

#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/number_by_size.hpp"
#include "stofm/core/stop_check.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

struct LeidenSearchOptions {
  std::int64_t clusters = 0;    ///< K, at least 1
  std::int64_t max_passes = 2;  ///< of each run, as scanpy's n_iterations; -1: until stable
  int max_runs = 30;            ///< of Leiden, at most
  std::uint64_t seed = 0;
  StopCheck stop = {};  ///< asked by the calling thread
};

struct LeidenSearchResult {
  std::vector<std::int32_t> labels;  ///< [nodes], K clusters numbered by size
  double resolution = 1;             ///< of the run that the labels come from
  double modularity = 0;             ///< of the labels, at that resolution
  int runs = 0;
  std::int64_t merged = 0;  ///< clusters merged away at the end; 0: the resolution gave K by itself
};

/// Merges clusters of `labels` until `clusters` are left. The smallest (of equals the lowest number) joins
/// the one that modularity gains most with (or loses least), among those it has edges to; one without edges
/// joins the next smallest. *Cost* O(entries + C log C). \throws as modularity(). *Deterministic* yes.
inline void merge_smallest_clusters(const cluster::WeightedGraph& graph, std::vector<std::int32_t>& labels,
                                    std::int64_t clusters, double resolution) {
  cluster::detail::require_labels(graph, labels, "[merge_smallest_clusters]");
  const auto count = static_cast<std::size_t>(cluster::number_by_size(labels).size());
  std::vector<std::map<std::int32_t, double>> between(count);
  std::vector<double> degree(count, 0.0);
  std::vector<std::int64_t> size(count, 0);
  double total = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto own = static_cast<std::size_t>(labels[i]);
    ++size[own];
    for (auto e = static_cast<std::size_t>(graph.row_offsets[i]);
         e < static_cast<std::size_t>(graph.row_offsets[i + 1]); ++e) {
      const auto weight = static_cast<double>(graph.weights[e]);
      const std::int32_t other = labels[static_cast<std::size_t>(graph.columns[e])];
      degree[own] += weight;
      total += weight;
      if (other != labels[i]) between[own][other] += weight;
    }
  }
  std::set<std::pair<std::int64_t, std::int32_t>> by_size;
  std::vector<std::int32_t> into(count);
  for (std::size_t c = 0; c < count; ++c) {
    into[c] = static_cast<std::int32_t>(c);
    by_size.insert({size[c], into[c]});
  }
  while (static_cast<std::int64_t>(by_size.size()) > clusters) {
    const std::int32_t smallest = by_size.begin()->second;
    const auto s = static_cast<std::size_t>(smallest);
    by_size.erase(by_size.begin());
    std::int32_t best = by_size.begin()->second;
    double best_gain = -std::numeric_limits<double>::infinity();
    for (const auto& [other, weight] : between[s]) {
      const double gain = weight - resolution * degree[s] * degree[static_cast<std::size_t>(other)] / total;
      if (gain > best_gain) best_gain = gain, best = other;
    }
    const auto b = static_cast<std::size_t>(best);
    by_size.erase({size[b], best});
    size[b] += size[s];
    degree[b] += degree[s];
    by_size.insert({size[b], best});
    into[s] = best;
    for (const auto& [other, weight] : between[s]) {
      auto& back = between[static_cast<std::size_t>(other)];
      back.erase(smallest);
      if (other == best) continue;
      back[best] += weight;
      between[b][other] += weight;
    }
    between[s].clear();
  }
  for (std::int32_t& label : labels)
    while (into[static_cast<std::size_t>(label)] != label) label = into[static_cast<std::size_t>(label)];
  cluster::number_by_size(labels);
}

/// Exactly K clusters of `graph`. The resolution starts at 1, is doubled or halved until K lies between two
/// runs, then bisected (geometric mean); the first run with K clusters is taken. If none has K, the run with
/// the fewest clusters above K (of equals the lowest resolution) is merged down. \throws DataError for K
/// above the number of nodes (STOFM-4720); UsageError for K < 1 or options below 1 (4722). *Cost* one run of
/// Leiden for each of about 5 to 15 resolutions. *Deterministic* yes, for a seed.
inline LeidenSearchResult leiden_clusters(const cluster::WeightedGraph& graph,
                                          const LeidenSearchOptions& options) {
  constexpr const char* op = "[leiden_clusters]";
  if (options.clusters < 1 || options.max_runs < 1)
    throw UsageError({"STOFM-4722", "", op,
                      concat("clusters ", options.clusters, ", runs ", options.max_runs), "at least 1",
                      "Give the number of clusters."});
  if (options.clusters > graph.nodes)
    throw DataError({"STOFM-4720", "", op, concat(graph.nodes, " cells"),
                     concat("at least as many as clusters, ", options.clusters), "Ask for fewer clusters."});
  LeidenSearchResult result;
  cluster::LeidenResult best, coarsest_above;
  double best_resolution = 1, above_resolution = 0;
  const auto run = [&](double resolution) {
    ++result.runs;
    cluster::LeidenResult found = cluster::leiden(graph, {.resolution = resolution,
                                                          .max_passes = options.max_passes,
                                                          .seed = options.seed,
                                                          .stop = options.stop});
    const std::int64_t clusters = found.clusters;
    if (clusters == options.clusters) {
      best = std::move(found);
      best_resolution = resolution;
    } else if (clusters > options.clusters &&
               (above_resolution == 0 || clusters < coarsest_above.clusters ||
                (clusters == coarsest_above.clusters && resolution < above_resolution))) {
      coarsest_above = std::move(found);
      above_resolution = resolution;
    }
    return clusters;
  };
  double low = 0, high = 0, resolution = 1;
  while (best.clusters != options.clusters && result.runs < options.max_runs) {
    (run(resolution) < options.clusters ? low : high) = resolution;
    if (low > 0 && high > 0 && high < low * (1 + 1e-6)) break;
    if (low == 0 && resolution < 1e-4) break;  // islands: no resolution has fewer clusters
    resolution = high == 0 ? 2 * low : low == 0 ? 0.5 * high : std::sqrt(low * high);
  }
  // Every node is a cluster of its own at a resolution above its degree: there is a finer partition.
  for (resolution = (std::max)(2 * low, 1.0); best.clusters != options.clusters && above_resolution == 0;
       resolution *= 4)
    run(resolution);
  if (best.clusters == options.clusters) {
    result.labels = std::move(best.labels);
    result.resolution = best_resolution;
    result.modularity = best.modularity;
    return result;
  }
  result.labels = std::move(coarsest_above.labels);
  result.resolution = above_resolution;
  result.merged = coarsest_above.clusters - options.clusters;
  merge_smallest_clusters(graph, result.labels, options.clusters, result.resolution);
  result.modularity = cluster::modularity(graph, result.labels, result.resolution);
  return result;
}

}  // namespace stofm::tasks
