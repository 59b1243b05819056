// SPDX-License-Identifier: MIT
// k-means on a device: one full step against a composition of cuBLAS and CUB (float32 and TF32), first at 1M
// x 256 with 256 clusters; whole mini-batch runs from host to host, against the CPU.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/kernels/kmeans_gpu_bench_baseline.hpp"
#include "bench/support/blobs.hpp"
#include "bench/support/device_timer.hpp"
#include "stofm/backend/cuda/kmeans.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"

using namespace stofm;

namespace {

enum class Way { ours, exact_scan, composed, composed_tf32 };

void full_step(benchmark::State& state, Way way) {
  if (bench::no_device(state)) return;
  const Cuda device{};
  const std::int64_t n = state.range(0), d = state.range(1), k = state.range(2);
  const auto rows = bench::blobs(n, d, 4);
  auto device_rows = backend::to_device(rows, device);
  const auto first = rows.slice(0, 0, k).clone();
  Tensor<float, Cuda> centres({k, d}, device);
  Tensor<std::int32_t, Cuda> labels({n}, device);
  Tensor<std::int64_t, Cuda> counts({k}, device);
  Tensor<std::uint8_t, Cuda> workspace({backend::kmeans_workspace_bytes(n, d, k)}, device);
  bench::ComposedKMeans composed(n, d, k, backend::current_stream(device).handle);
  const auto step = [&] {
    if (way == Way::ours || way == Way::exact_scan)
      backend::kmeans_lloyd_step(
          device, device_rows.view(), centres.view(), labels.data(), counts.data(), workspace.data(),
          way == Way::ours ? backend::KMeansAssignment::automatic : backend::KMeansAssignment::exact_scan);
    else
      composed.step(device_rows.data(), centres.data(), labels.data(), way == Way::composed_tf32);
  };
  // The result is looked at once: labels of the CPU for the first rows (all of them for ours, 99 % with
  // TF32).
  const std::int64_t looked = std::min<std::int64_t>(n, 20000);
  std::vector<std::int32_t> expected(static_cast<std::size_t>(looked));
  std::vector<float> distances(expected.size());
  cluster::nearest_centres(rows.slice(0, 0, looked).view(), cluster::PackedPoints(first.view()), expected,
                           distances);
  backend::copy_to_device<float>(centres.view(), first.view());
  step();
  const auto found = backend::to_host(labels);
  std::int64_t equal = 0;
  for (std::int64_t i = 0; i < looked; ++i) equal += found.data()[i] == expected[static_cast<std::size_t>(i)];
  if (equal < (way == Way::ours || way == Way::exact_scan ? looked : looked * 9 / 10))
    return state.SkipWithError("labels differ from the CPU's");
  bench::DeviceTimer timer(device);
  for (auto _ : state) {
    backend::copy_to_device<float>(centres.view(), first.view());
    state.SetIterationTime(timer.seconds(step));
  }
  const auto size = static_cast<double>(n);
  state.counters["FLOP/s"] = benchmark::Counter(2 * size * static_cast<double>(d * k),
                                                benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes/s"] = benchmark::Counter(2 * 4 * size * static_cast<double>(d),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}
void sizes(benchmark::internal::Benchmark* b) {
  b->Args({1000000, 256, 256})->Args({1000000, 2, 100})->Args({100000, 256, 64})->Args({200000, 768, 1024});
  b->ArgNames({"N", "C", "K"})->UseManualTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(full_step, ours, Way::ours)->Name("kmeans/full_step/ours/f32")->Apply(sizes);
BENCHMARK_CAPTURE(full_step, exact_scan, Way::exact_scan)
    ->Name("kmeans/full_step/exact_scan/f32")
    ->Apply(sizes);
BENCHMARK_CAPTURE(full_step, composed, Way::composed)->Name("kmeans/full_step/cublas_cub/f32")->Apply(sizes);
BENCHMARK_CAPTURE(full_step, composed_tf32, Way::composed_tf32)
    ->Name("kmeans/full_step/cublas_cub/tf32")
    ->Apply(sizes);

void whole_run(benchmark::State& state, bool on_device) {
  if (on_device && bench::no_device(state)) return;
  const auto rows = bench::blobs(state.range(0), state.range(1), 4);
  double inertia = 0;
  for (auto _ : state) {
    if (on_device)
      inertia = backend::mini_batch_kmeans(Cuda{}, rows.view(), {.clusters = state.range(2)}).inertia;
    else
      inertia = cluster::mini_batch_kmeans(rows.view(), {.clusters = state.range(2)}).inertia;
  }
  state.counters["inertia"] = inertia;
}
void run_sizes(benchmark::internal::Benchmark* b) {
  b->Args({20000, 2, 100})->Args({1000000, 2, 700})->Args({100000, 256, 64})->Args({100000, 256, 512});
  b->ArgNames({"N", "C", "K"})->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(whole_run, device, true)->Name("kmeans/mini_batch_run/device")->Apply(run_sizes);
BENCHMARK_CAPTURE(whole_run, cpu, false)->Name("kmeans/mini_batch_run/cpu")->Apply(run_sizes);

}  // namespace

BENCHMARK_MAIN();
