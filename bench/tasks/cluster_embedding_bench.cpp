// SPDX-License-Identifier: MIT
// Clusters and a picture of an embedding of 192 numbers: every method at 20 clusters, and the UMAP layout
// with its neighbours. Baseline of the searched resolution: one run of Leiden at resolution 1 on the same
// graph.
#include <benchmark/benchmark.h>

#include <utility>

#include "bench/support/embeddings.hpp"
#include "stofm/tasks/cluster_embedding.hpp"
#include "stofm/tasks/umap_layout.hpp"

using namespace stofm;

namespace {
const cluster::WeightedGraph& graph_of(std::int64_t n) {
  static std::map<std::int64_t, cluster::WeightedGraph> made;
  if (const auto found = made.find(n); found != made.end()) return found->second;
  const auto& rows = bench::embedding(n, 192);
  return made.emplace(n, tasks::embedding_graph(tasks::nearest_neighbours(rows.view(), 14))).first->second;
}

void whole(benchmark::State& state) {
  const auto& rows = bench::embedding(state.range(1), 192);
  tasks::ClusterOptions options;
  options.method = static_cast<tasks::ClusterMethod>(state.range(0));
  options.clusters = 20;
  options.restarts = 3;
  tasks::EmbeddingClusters found;
  for (auto _ : state) found = tasks::cluster_embedding(rows.view(), {}, options);
  state.counters["clusters"] = static_cast<double>(found.clusters());
  state.counters["merged"] = static_cast<double>(found.merged);
}
BENCHMARK(whole)
    ->Name("tasks/cluster_embedding/K:20/C:192/method/N")
    ->ArgsProduct({{0, 1, 2, 3}, {10000}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->Iterations(1);

void searched(benchmark::State& state) {
  const auto& graph = graph_of(state.range(0));
  tasks::LeidenSearchResult found;
  for (auto _ : state) found = tasks::leiden_clusters(graph, {.clusters = 20});
  state.counters["runs"] = found.runs;
  state.counters["merged"] = static_cast<double>(found.merged);
}
BENCHMARK(searched)
    ->Name("tasks/leiden_clusters/K:20/N")
    ->Arg(10000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

void one_run(benchmark::State& state) {
  const auto& graph = graph_of(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(cluster::leiden(graph, {.resolution = 1.0, .max_passes = 2}).clusters);
}
BENCHMARK(one_run)
    ->Name("tasks/leiden_clusters/one_run/N")
    ->Arg(10000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

void layout(benchmark::State& state) {
  const auto& graph = graph_of(state.range(0));
  const auto start = tasks::layout_start(bench::embedding(state.range(0), 192).view(), 0);
  for (auto _ : state)
    benchmark::DoNotOptimize(tasks::umap_layout(graph, start.view(), {.epochs = 200}).data());
}
BENCHMARK(layout)
    ->Name("tasks/umap_layout/epochs:200/N")
    ->Arg(10000)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->Iterations(1);
}  // namespace

BENCHMARK_MAIN();
