// SPDX-License-Identifier: MIT
// The walks of Leiden: which clusters a pass looks into, in which order and numbers, on how many threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/umap_graph.hpp"
#include "tests/cluster/point_sets.hpp"
#include "tests/cluster/weighted_graphs.hpp"

using namespace stofm;
using cluster::LeidenWalk;
using cluster::WeightedGraph;
using test::connected;
using test::Edges;
using test::graph_of;
using test::planted;

namespace {
/// Most that one node can gain by moving alone, to another cluster or to one of its own; modularity grows by
/// 2 / 2m times that.
double largest_gain(const WeightedGraph& graph, const std::vector<std::int32_t>& labels, double resolution) {
  std::vector<double> degrees(labels.size(), 0.0), totals(labels.size() + 1, 0.0);
  double whole = 0, largest = 0;
  const auto each = [&](std::size_t i, auto&& entry) {
    for (auto e = static_cast<std::size_t>(graph.row_offsets[i]);
         e < static_cast<std::size_t>(graph.row_offsets[i + 1]); ++e)
      entry(static_cast<std::size_t>(graph.columns[e]), static_cast<double>(graph.weights[e]));
  };
  for (std::size_t i = 0; i < labels.size(); ++i) {
    each(i, [&](std::size_t, double weight) { degrees[i] += weight; });
    totals[static_cast<std::size_t>(labels[i])] += degrees[i];
    whole += degrees[i];
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    std::map<std::int32_t, double> around{{labels[i], 0.0}};
    each(i, [&](std::size_t j, double weight) { around[labels[j]] += weight; });
    const auto gain = [&](std::int32_t c) {
      const double rest = totals[static_cast<std::size_t>(c)] - (c == labels[i] ? degrees[i] : 0.0);
      return around[c] - resolution / whole * degrees[i] * rest;
    };
    const double stay = gain(labels[i]);
    largest = std::max(largest, -stay);
    for (const auto& [c, weight] : around) largest = std::max(largest, gain(c) - stay);
  }
  return largest;
}

/// Refinement over the whole graph at once, as the method is written down.
std::vector<std::int32_t> plain_refine(const WeightedGraph& graph, const std::vector<double>& degrees,
                                       double factor, const std::vector<std::int32_t>& cluster,
                                       const std::vector<std::int32_t>& order) {
  const std::size_t n = degrees.size();
  std::vector<double> whole(n, 0.0), total = degrees, outward(n, 0.0);
  std::vector<std::int32_t> part(n), members(n, 1);
  std::iota(part.begin(), part.end(), 0);
  const auto each_inside = [&](std::size_t i, auto&& entry) {
    for (auto e = static_cast<std::size_t>(graph.row_offsets[i]);
         e < static_cast<std::size_t>(graph.row_offsets[i + 1]); ++e) {
      const auto j = static_cast<std::size_t>(graph.columns[e]);
      if (cluster[j] == cluster[i]) entry(j, static_cast<double>(graph.weights[e]));
    }
  };
  for (std::size_t i = 0; i < n; ++i) {
    whole[static_cast<std::size_t>(cluster[i])] += degrees[i];
    each_inside(i, [&](std::size_t, double weight) { outward[i] += weight; });
  }
  const auto well_connected = [&](std::size_t p, double of) {
    return outward[p] >= factor * total[p] * (of - total[p]);
  };
  for (const std::int32_t node : order) {
    const auto i = static_cast<std::size_t>(node);
    const double of = whole[static_cast<std::size_t>(cluster[i])];
    if (members[i] != 1 || part[i] != node || !well_connected(i, of)) continue;
    std::map<std::int32_t, double> around;
    each_inside(i, [&](std::size_t j, double weight) { around[part[j]] += weight; });
    double best_gain = cluster::detail::leiden_tolerance * degrees[i];
    std::int32_t best = node;
    for (const auto& [c, weight] : around) {
      const auto p = static_cast<std::size_t>(c);
      const double gain = weight - factor * degrees[i] * total[p];
      if (gain > best_gain && well_connected(p, of)) best_gain = gain, best = c;
    }
    if (best == node) continue;
    const auto p = static_cast<std::size_t>(best);
    outward[p] += outward[i] - 2 * around[best];
    total[p] += degrees[i];
    ++members[p];
    members[i] = 0;
    part[i] = best;
  }
  cluster::detail::compact(part, n);
  return part;
}

/// Every node is near a few others in a plane: what slices give. Neighbours have far numbers.
const WeightedGraph& graph_of_points(std::int64_t points) {
  static std::map<std::int64_t, WeightedGraph> made;
  const auto found = made.find(points);
  if (found != made.end()) return found->second;
  return made[points] = cluster::umap_graph_2d(test::point_set("random", points, 4).view());
}
}  // namespace

TEST_CASE("labels of graphs up to 100,000 nodes are those of the first release") {
  const auto graph = planted(12, 50, 0.1, 0.04, 3);
  std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a, a label a step
  for (const std::int32_t label : cluster::leiden(graph, {.resolution = 1.3, .seed = 7}).labels)
    hash = (hash ^ static_cast<std::uint64_t>(label)) * 1099511628211ULL;
  CHECK(hash == 0xfa6da1eb24768167ULL);
}

TEST_CASE("the walk goes by size, and both walks obey the number of passes") {
  Random random(1, 1);
  for (const std::int64_t nodes : {cluster::leiden_everywhere_up_to, cluster::leiden_everywhere_up_to + 1}) {
    Edges ring;
    for (std::int32_t i = 0; i < nodes; ++i)
      ring[{std::min(i, (i + 1) % static_cast<std::int32_t>(nodes)),
            std::max(i, (i + 1) % static_cast<std::int32_t>(nodes))}] =
          static_cast<float>(0.5 + random.uniform());
    const auto graph = graph_of(nodes, ring);
    const auto by_size = cluster::leiden(graph, {.max_passes = 2});
    const auto everywhere = cluster::leiden(graph, {.max_passes = 2, .walk = LeidenWalk::everywhere});
    const auto local = cluster::leiden(graph, {.max_passes = 2, .walk = LeidenWalk::local});
    CHECK(everywhere.labels != local.labels);
    CHECK(by_size.labels == (nodes == cluster::leiden_everywhere_up_to ? everywhere : local).labels);
    CHECK(by_size.passes == 2);
  }
  const auto& graph = graph_of_points(20000);
  for (const auto walk : {LeidenWalk::everywhere, LeidenWalk::local}) {
    double before = -1;
    const auto none = cluster::leiden(graph, {.max_passes = 0, .walk = walk});
    CHECK(none.passes == 0);
    CHECK(none.clusters == graph.nodes);
    for (const std::int64_t passes : {1, 2, 3, 4}) {
      const auto found = cluster::leiden(graph, {.max_passes = passes, .walk = walk});
      CHECK(found.passes == passes);
      CHECK(found.modularity > before);
      before = found.modularity;
    }
    const auto stable = cluster::leiden(graph, {.walk = walk});
    CHECK(stable.passes > 4);
    CHECK(stable.modularity > before);
  }
}

TEST_CASE("a local walk ends where no node gains, in connected clusters, near the modularity of the other") {
  const auto& graph = graph_of_points(20000);
  for (std::uint64_t seed = 0; seed < 3; ++seed)
    for (const double resolution : {0.7, 1.0, 4.0}) {
      CAPTURE(seed);
      CAPTURE(resolution);
      const auto local =
          cluster::leiden(graph, {.resolution = resolution, .seed = seed, .walk = LeidenWalk::local});
      const auto everywhere =
          cluster::leiden(graph, {.resolution = resolution, .seed = seed, .walk = LeidenWalk::everywhere});
      CHECK(connected(graph, local.labels, local.clusters));
      CHECK(largest_gain(graph, local.labels, resolution) <= 1e-8);
      CHECK(local.modularity == cluster::modularity(graph, local.labels, resolution));
      CHECK(local.modularity >= everywhere.modularity - 1e-3);
    }
}

TEST_CASE("a local walk answers in the numbers of the caller") {
  // 500 islands, each a ring; node i is of island i mod 500, so no two neighbours have near numbers.
  constexpr std::int32_t islands = 500, size = 7;
  Edges edges;
  for (std::int32_t i = 0; i < islands; ++i)
    for (std::int32_t k = 0; k < size; ++k) {
      const std::int32_t a = i + islands * k, b = i + islands * ((k + 1) % size);
      edges[{std::min(a, b), std::max(a, b)}] = 1;
    }
  const auto found =
      cluster::leiden(graph_of(islands * size, edges), {.resolution = 0.1, .walk = LeidenWalk::local});
  CHECK(found.clusters == islands);
  for (std::int32_t i = 0; i < islands * size; ++i)
    CHECK(found.labels[static_cast<std::size_t>(i)] == i % islands);  // equal sizes: by first node
}

TEST_CASE("both walks give the same labels at any number of threads") {
  const auto& graph = graph_of_points(40000);  // several chunks of each parallel step
  const int before = thread_count();
  for (const auto walk : {LeidenWalk::everywhere, LeidenWalk::local}) {
    set_thread_count(1);
    const auto one = cluster::leiden(graph, {.max_passes = 4, .walk = walk});
    for (const int threads : {2, 5}) {
      set_thread_count(threads);
      const auto more = cluster::leiden(graph, {.max_passes = 4, .walk = walk});
      CHECK(more.labels == one.labels);
      CHECK(more.modularity == one.modularity);
    }
  }
  set_thread_count(before);
}

TEST_CASE("refining cluster by cluster gives the parts of refining the whole graph") {
  // Clusters at random, of several blocks: many nodes are not well connected to theirs.
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const auto graph = planted(6, 40, 0.3, 0.05, seed);
    Random random(seed, 8);
    std::vector<std::int32_t> cluster(240);
    for (auto& c : cluster) c = static_cast<std::int32_t>(random.below(1 + seed % 5));
    std::vector<double> degrees(240, 0.0);
    const double factor =
        0.5 * static_cast<double>(1 + seed % 7) / cluster::detail::sum_degrees(graph, degrees);
    cluster::detail::LeidenOrders orders(seed, 0, 240), same(seed, 0, 240);
    std::int64_t parts = 0;
    const auto part =
        cluster::detail::refine(cluster::detail::rows_of(graph), degrees, factor, cluster, orders, parts);
    CHECK(part == plain_refine(graph, degrees, factor, cluster, same.draw(240)));
    CHECK(parts == *std::max_element(part.begin(), part.end()) + 1);
  }
}

TEST_CASE("orders of nodes are permutations, block by block where there are several blocks") {
  for (const std::size_t count : {0U, 1U, 2U, 63U, 64U, 65U, 128U, 1000U})
    for (const std::size_t block : {std::size_t{64}, std::size_t{1000}}) {
      cluster::detail::LeidenOrders orders(3, 0, block);
      const auto first = orders.draw(count), second = orders.draw(count);
      CHECK(std::set<std::int32_t>(first.begin(), first.end()).size() == count);
      CHECK((count < 3 || first != second));
      for (const std::int32_t node : first) CHECK(node < static_cast<std::int32_t>(count));
      std::size_t changes = 0;  // of block, from one node to the next
      for (std::size_t k = 1; k < count; ++k)
        changes +=
            static_cast<std::size_t>(first[k]) / block != static_cast<std::size_t>(first[k - 1]) / block;
      if (count > 0) CHECK(changes == (count - 1) / block);
    }
}

TEST_CASE("clusters that changed are those that hold other nodes than any did before") {
  using cluster::detail::changed_clusters;
  using Flags = std::vector<std::uint8_t>;
  const auto changed = [](std::vector<std::int32_t> before, std::vector<std::int32_t> now) {
    return changed_clusters(before, now);
  };
  CHECK(changed({0, 0, 1, 1, 2}, {0, 0, 1, 1, 2}) == Flags{0, 0, 0});
  CHECK(changed({1, 1, 0, 0, 2}, {0, 0, 1, 1, 2}) == Flags{0, 0, 0});     // numbers do not matter
  CHECK(changed({0, 0, 1, 1, 2}, {0, 0, 0, 1, 2}) == Flags{1, 1, 0});     // one node moved
  CHECK(changed({0, 0, 1, 1, 2}, {0, 1, 0, 1, 2}) == Flags{1, 1, 0});     // two changed places
  CHECK(changed({0, 0, 1, 1, 2}, {0, 0, 1, 1, 1}) == Flags{0, 1});        // two merged
  CHECK(changed({0, 0, 1, 1, 2}, {0, 3, 1, 1, 2}) == Flags{1, 0, 0, 1});  // one split
  CHECK(changed({}, {}).empty());
}
