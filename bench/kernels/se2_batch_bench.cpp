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

/// 150 masked cells a slice and 22,500 pairs to recover.
struct Labels {
  Labels() : targets({150, 256}), distances(150 * 150, 1.0F) {
    for (std::int64_t i = 0; i < 150; ++i) {
      nodes.push_back(60 + 5 * i);
      for (std::int64_t j = 0; j < 150; ++j) {
        rows.push_back(60 + 5 * i);
        columns.push_back(61 + 5 * j);
      }
    }
    for (std::int64_t i = 0; i < count; ++i)
      list.push_back({nodes, targets.data(), rows, columns, distances,
                      RandomKey{.seed = 1}.child(static_cast<std::uint64_t>(i))});
  }
  Tensor<float> targets;
  std::vector<float> distances;
  std::vector<std::int64_t> nodes, rows, columns;
  std::vector<backend::Se2TrainingSlice> list;
};
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
  const Labels labels;
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
