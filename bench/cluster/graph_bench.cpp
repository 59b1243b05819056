// SPDX-License-Identifier: MIT
// Neighbours, UMAP graph and Leiden on the cluster features of osmFISH, repeated with a jitter: the workload
// of scanpy's sc.pp.neighbors + sc.tl.leiden(flavor="igraph") that the reference calls. Baseline: neighbours
// by brute force. Leiden also on the slice laid side by side as make_tiled_slice.py does, up to a million
// points: leiden_beside_igraph.py runs these and igraph on the same graphs.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>

#include "stofm/cluster/leiden.hpp"
#include "stofm/cluster/umap_graph.hpp"
#include "stofm/io/npy.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/virtual_cells.hpp"
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

/// The graph that virtual cells are found on, of the slice side by side. Where $STOFM_GRAPH_FILES names a
/// folder, it is written there too: NAME.npy for offsets, columns and weights.
const cluster::WeightedGraph& side_by_side_graph(std::int64_t points) {
  static std::map<std::int64_t, cluster::WeightedGraph> made;
  if (const auto found = made.find(points); found != made.end()) return found->second;
  const auto file = io::SafetensorsFile::open(test::golden_dir() / "graph_osmfish" / "case.safetensors");
  const auto one = file.read<double>("spatial");
  const auto features = file.read<float>("features");
  const std::int64_t n = one.dim(0), width = features.dim(1), tiles = (points + n - 1) / n;
  const auto side = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(tiles))));
  double extent[2];
  for (int axis = 0; axis < 2; ++axis) {
    double low = one(0, axis), high = low;
    for (std::int64_t i = 0; i < n; ++i) {
      low = std::min(low, one(i, axis));
      high = std::max(high, one(i, axis));
    }
    extent[axis] = (high - low) * 1.02;
  }
  Tensor<double> xy({points, 2});
  Tensor<float> rows({points, width});
  for (std::int64_t r = 0; r < points; ++r) {
    const std::int64_t tile = r / n, i = r % n;
    xy(r, 0) = one(i, 0) + extent[0] * static_cast<double>(tile % side);
    xy(r, 1) = one(i, 1) + extent[1] * static_cast<double>(tile / side);
    std::copy_n(features.data() + i * width, width, rows.data() + r * width);
  }
  const auto normalised = pipeline::normalise_coordinates(xy.view());
  const auto z = pipeline::cluster_features(normalised.xy.view(), rows.view());
  auto& graph = made[points] = cluster::umap_graph_2d(z.view());
  if (const char* folder = std::getenv("STOFM_GRAPH_FILES"); folder != nullptr) {
    const auto write = [&]<class T>(const char* name, const std::vector<T>& values) {
      Tensor<T> tensor({static_cast<std::int64_t>(values.size())});
      std::copy(values.begin(), values.end(), tensor.data());
      io::write_npy(std::filesystem::path(folder) / name, tensor, {.overwrite = true});
    };
    write("offsets.npy", graph.row_offsets);
    write("columns.npy", graph.columns);
    write("weights.npy", graph.weights);
  }
  return graph;
}

/// Processor time, of all threads; passes: 0 until stable.
void leiden_side_by_side(benchmark::State& state, cluster::LeidenWalk walk) {
  const auto& graph = side_by_side_graph(state.range(0));
  const std::int64_t passes = state.range(1) == 0 ? -1 : state.range(1);
  cluster::LeidenResult result;
  for (auto _ : state) result = cluster::leiden(graph, {.max_passes = passes, .walk = walk});
  state.counters["clusters"] = static_cast<double>(result.clusters);
  state.counters["modularity"] = result.modularity;
  state.counters["passes_done"] = static_cast<double>(result.passes);
  state.counters["entries"] = static_cast<double>(graph.entries());
}
BENCHMARK_CAPTURE(leiden_side_by_side, everywhere, cluster::LeidenWalk::everywhere)
    ->Name("cluster/leiden/side_by_side/everywhere")
    ->ArgNames({"points", "passes"})
    ->ArgsProduct({{32355, 100000, 300000, 1000000}, {0, 2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(leiden_side_by_side, local, cluster::LeidenWalk::local)
    ->Name("cluster/leiden/side_by_side/local")
    ->ArgNames({"points", "passes"})
    ->ArgsProduct({{32355, 100000, 300000, 1000000}, {0, 2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

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
