// SPDX-License-Identifier: MIT
// Neighbours, UMAP graph and Leiden on the cluster features of osmFISH, repeated with a jitter: the workload
// of scanpy's sc.pp.neighbors + sc.tl.leiden(flavor="igraph") that the reference calls. Baseline: neighbours
// by brute force.
#include <benchmark/benchmark.h>

#include <cmath>
#include <iostream>
#include <map>

#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/umap_graph.hpp"
#include "stofm/io/safetensors.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;

namespace {
/// The features `tiles` times, each with a normal jitter of 1e-3, rounded to float.
const Tensor<double>& tiled_features(std::int64_t tiles) {
  static std::map<std::int64_t, Tensor<double>> made;
  if (const auto found = made.find(tiles); found != made.end()) return found->second;
  const auto file = io::SafetensorsFile::open(test::golden_dir() / "graph_osmfish" / "case.safetensors");
  const auto z = file.read<double>("cluster_features");
  Tensor<double> points({z.dim(0) * tiles, 2});
  Random random(0);
  for (std::int64_t e = 0; e < points.numel(); ++e)
    points.data()[e] =
        static_cast<double>(static_cast<float>(z.data()[e % z.numel()] + 1e-3 * random.normal()));
  return made.emplace(tiles, points).first->second;
}

void neighbours(benchmark::State& state) {
  const auto& z = tiled_features(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(cluster::nearest_neighbours_2d(z.view(), 9).indices.data());
  state.counters["points"] = static_cast<double>(z.dim(0));
}
BENCHMARK(neighbours)
    ->Name("cluster/nearest_neighbours_2d/k:9/tiles")
    ->Arg(1)
    ->Arg(5)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void neighbours_brute_force(benchmark::State& state) {
  const auto& z = tiled_features(state.range(0));
  const std::int64_t n = z.dim(0);
  for (auto _ : state) {
    parallel_for(n, 64, [&](std::int64_t begin, std::int64_t end) {
      std::vector<cluster::Candidate2d> all(static_cast<std::size_t>(n));
      for (std::int64_t i = begin; i < end; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          const double dx = z.data()[2 * i] - z.data()[2 * j], dy = z.data()[2 * i + 1] - z.data()[2 * j + 1];
          all[static_cast<std::size_t>(j)] = {dx * dx + dy * dy, static_cast<std::int32_t>(j)};
        }
        std::nth_element(all.begin(), all.begin() + 9, all.end());
        benchmark::DoNotOptimize(all.data());
      }
    });
  }
}
BENCHMARK(neighbours_brute_force)
    ->Name("cluster/nearest_neighbours_2d/brute_force/k:9/tiles")
    ->Arg(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void umap(benchmark::State& state) {
  const auto& z = tiled_features(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(cluster::umap_graph_2d(z.view()).weights.data());
}
BENCHMARK(umap)
    ->Name("cluster/umap_graph_2d/tiles")
    ->Arg(1)
    ->Arg(5)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void leiden(benchmark::State& state) {
  const auto graph = cluster::umap_graph_2d(tiled_features(state.range(0)).view());
  cluster::LeidenResult result;
  for (auto _ : state) result = cluster::leiden(graph);
  state.counters["clusters"] = static_cast<double>(result.clusters);
  state.counters["modularity"] = result.modularity;
  state.counters["passes"] = static_cast<double>(result.passes);
  state.counters["entries"] = static_cast<double>(graph.entries());
}
BENCHMARK(leiden)->Name("cluster/leiden/tiles")->Arg(1)->Arg(5)->Unit(benchmark::kMillisecond)->UseRealTime();

void graph_and_leiden(benchmark::State& state) {
  const auto& z = tiled_features(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(cluster::leiden(cluster::umap_graph_2d(z.view())).clusters);
  state.counters["points"] = static_cast<double>(z.dim(0));
}
BENCHMARK(graph_and_leiden)
    ->Name("cluster/umap_graph_2d+leiden/tiles")
    ->Arg(1)
    ->Arg(5)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
}  // namespace

BENCHMARK_MAIN();
