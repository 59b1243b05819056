// SPDX-License-Identifier: MIT
// Building sub-slices: 1,000 cells + 49 virtual cells + CLS = 1,050 nodes, the published size (the authors'
// code takes about 75 ms for one). Baseline: the definition on a dense matrix.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>

#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "tests/cluster/point_sets.hpp"

using namespace stofm;

namespace {
struct Piece {
  Tensor<double> xy, virtual_xy;
  std::vector<std::int64_t> cells;
};
Piece piece(const std::string& kind, std::int64_t cells, std::int64_t virtual_cells) {
  Piece p{pipeline::normalise_coordinates(test::point_set(kind, cells, 1).view()).xy,
          pipeline::normalise_coordinates(test::point_set("random", virtual_cells, 2).view()).xy,
          {}};
  for (std::int64_t i = 0; i < cells; ++i) p.cells.push_back(i);
  return p;
}

void build(benchmark::State& state, const std::string& kind, pipeline::Geometry geometry) {
  const Piece p = piece(kind, state.range(0), state.range(1));
  set_thread_count(1);
  std::int64_t entries = 0;
  for (auto _ : state)
    entries = pipeline::build_sub_slice(p.cells, p.xy.view(), p.virtual_xy.view(), {.geometry = geometry})
                  .distances.entries();
  state.counters["entries"] = static_cast<double>(entries);
}
BENCHMARK_CAPTURE(build, random, "random", pipeline::Geometry::reference)
    ->Name("pipeline/build_sub_slice/random/cells,virtual")
    ->Args({1000, 49})
    ->Args({1000, 200})
    ->Args({1950, 49})
    ->Args({16000, 49})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(build, random_stable, "random", pipeline::Geometry::stable)
    ->Name("pipeline/build_sub_slice/random/stable/cells,virtual")
    ->Args({1000, 49})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(build, hex, "hex lattice", pipeline::Geometry::reference)
    ->Name("pipeline/build_sub_slice/hex_lattice/cells,virtual")
    ->Args({1000, 49})
    ->Unit(benchmark::kMillisecond);

void build_dense(benchmark::State& state) {
  const Piece p = piece("random", state.range(0), 49);
  const auto sub = pipeline::build_sub_slice(p.cells, p.xy.view(), p.virtual_xy.view());
  const std::int64_t n = sub.nodes();
  for (auto _ : state) {
    auto d = Tensor<float>::full({n, n}, far_distance);
    std::vector<std::pair<double, std::int64_t>> row(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j)
        row[static_cast<std::size_t>(j)] = {std::hypot(sub.xy.data()[2 * i] - sub.xy.data()[2 * j],
                                                       sub.xy.data()[2 * i + 1] - sub.xy.data()[2 * j + 1]),
                                            j};
      std::nth_element(row.begin(), row.begin() + 50, row.end());
      for (std::size_t m = 0; m < 50; ++m) {
        d.data()[i * n + row[m].second] = static_cast<float>(row[m].first);
        d.data()[row[m].second * n + i] = static_cast<float>(row[m].first);
      }
    }
    benchmark::DoNotOptimize(d.data());
  }
}
BENCHMARK(build_dense)
    ->Name("pipeline/build_sub_slice/dense/cells")
    ->Arg(1000)
    ->Unit(benchmark::kMillisecond);

void split(benchmark::State& state) {
  const auto xy = pipeline::normalise_coordinates(test::point_set("random", state.range(0), 1).view()).xy;
  for (auto _ : state) benchmark::DoNotOptimize(pipeline::split_cells(xy.view(), 1000).size());
}
BENCHMARK(split)->Name("pipeline/split_cells/cells")->Arg(20000)->Arg(1000000)->Unit(benchmark::kMillisecond);
}  // namespace

BENCHMARK_MAIN();
