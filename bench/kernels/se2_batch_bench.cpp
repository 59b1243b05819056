// SPDX-License-Identifier: MIT
// What the host does for a training step of the SE(2) Transformer on a device, measured without one: the
// distances of 16 published sub-slices numbered, and the batch checked, sorted and written to memory that
// stands for pinned one. `cpu_time` is that of all threads; STOFM_BENCH_THREADS sets how many.
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#include "tests/kernels/support/emulator.hpp"

#include <benchmark/benchmark.h>

#include <cstdlib>

#include "bench/support/se2_workload.hpp"
#include "stofm/kernels/model/se2_batch.cuh"

namespace stofm::backend {
void* allocate_pinned(Cuda, std::int64_t bytes) { return std::malloc(static_cast<std::size_t>(bytes)); }
void release_pinned(void* data) noexcept { std::free(data); }
}  // namespace stofm::backend

namespace {

using namespace stofm;

constexpr std::int64_t count = 16, dropout_sites = 17;

const bench::Se2Workload& workload() {
  static const bench::Se2Workload work(count, 1050);
  return work;
}

void number(benchmark::State& state) {
  const bench::Se2Workload& work = workload();
  for (auto _ : state)
    parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        benchmark::DoNotOptimize(
            pipeline::number_distances(work.pieces[static_cast<std::size_t>(i)].distances));
    });
}
void fill(benchmark::State& state) {
  const bench::Se2Workload& work = workload();
  const bench::Se2Labels labels(count);
  kernels::se2::Se2BatchBuffer buffer;
  for (auto _ : state)
    buffer.fill(Cuda{0}, 256, work.slices, {.training = labels.list, .dropout_sites = dropout_sites});
  state.counters["MB"] = static_cast<double>(buffer.bytes()) / 1e6;
}
BENCHMARK(number)
    ->Name("se2_batch/number_distances/slices:16")
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(fill)
    ->Name("se2_batch/fill/slices:16")
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) {
  if (const char* threads = std::getenv("STOFM_BENCH_THREADS")) set_thread_count(std::atoi(threads));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
