// SPDX-License-Identifier: MIT
// Neighbours in the plane and sub-slices on a device, against the CPU code.
#include <benchmark/benchmark.h>

#include "bench/support/device_timer.hpp"
#include "stofm/backend/cuda/knn_2d.hpp"
#include "stofm/backend/cuda/sub_slices.hpp"
#include "stofm/cluster/knn_2d.hpp"
#include "stofm/core/random.hpp"
#include "stofm/pipeline/sub_slices.hpp"

using namespace stofm;

namespace {

Tensor<double> scatter(std::int64_t n) {
  Random random(1);
  Tensor<double> xy({n, 2});
  for (std::int64_t e = 0; e < 2 * n; ++e) xy.data()[e] = 70 * random.uniform() - 35;
  return xy;
}

void neighbours_on_device(benchmark::State& state) {
  if (bench::no_device(state)) return;
  const Cuda device{};
  const std::int64_t n = state.range(0), k = state.range(1);
  const auto xy = scatter(n);
  auto device_xy = backend::to_device(xy, device);
  Tensor<std::int32_t, Cuda> indices({n, k}, device);
  Tensor<double, Cuda> distances({n, k}, device);
  Tensor<std::uint8_t, Cuda> workspace({backend::knn_2d_workspace_bytes(n)}, device);
  const auto search = [&] {
    backend::nearest_neighbours_2d(device, device_xy.data(), n, k, indices.data(), distances.data(),
                                   workspace.data());
  };
  search();
  const auto found = backend::to_host(indices);
  const auto expected = cluster::nearest_neighbours_2d(xy.view(), k);
  if (!std::equal(expected.indices.begin(), expected.indices.end(), found.data()))
    return state.SkipWithError("neighbours differ from the CPU's");
  bench::DeviceTimer timer(device);
  for (auto _ : state) state.SetIterationTime(timer.seconds(search));
  state.counters["points/s"] =
      benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(neighbours_on_device)
    ->Name("knn_2d/device/f64")
    ->ArgNames({"N", "k"})
    ->Args({1000000, 9})
    ->Args({1000000, 49})
    ->Args({20000, 9})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void neighbours_on_cpu(benchmark::State& state) {
  const auto xy = scatter(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(cluster::nearest_neighbours_2d(xy.view(), state.range(1)));
}
BENCHMARK(neighbours_on_cpu)
    ->Name("knn_2d/cpu/f64")
    ->ArgNames({"N", "k"})
    ->Args({1000000, 9})
    ->Args({20000, 9})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// 64 pieces of 1,000 cells and 49 virtual cells, from host memory, left on the device.
void pieces(benchmark::State& state, bool on_device) {
  if (on_device && bench::no_device(state)) return;
  const auto xy = scatter(64000), virtual_xy = scatter(49);
  const auto cells = pipeline::split_cells(xy.view(), 1000);
  std::vector<std::int64_t> offsets{0}, flat;
  for (const auto& piece : cells) {
    flat.insert(flat.end(), piece.begin(), piece.end());
    offsets.push_back(static_cast<std::int64_t>(flat.size()));
  }
  for (auto _ : state) {
    if (on_device) {
      benchmark::DoNotOptimize(
          backend::build_sub_slices_on_device(Cuda{}, offsets, flat, xy.view(), virtual_xy.view()));
      backend::synchronize(Cuda{}, backend::current_stream(Cuda{}));
    } else {
      parallel_for(static_cast<std::int64_t>(cells.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t p = begin; p < end; ++p)
          benchmark::DoNotOptimize(
              pipeline::build_sub_slice(cells[static_cast<std::size_t>(p)], xy.view(), virtual_xy.view()));
      });
    }
  }
  state.counters["pieces/s"] =
      benchmark::Counter(static_cast<double>(cells.size()), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(pieces, device, true)->Name("sub_slices/device/pieces:64")->UseRealTime();
BENCHMARK_CAPTURE(pieces, cpu, false)->Name("sub_slices/cpu/pieces:64")->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
