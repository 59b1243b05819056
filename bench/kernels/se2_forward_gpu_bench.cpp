// SPDX-License-Identifier: MIT
/// Sub-slices of the published size through the SE(2) Transformer on a CUDA device: kernels alone (inputs on
/// the device, L2 flushed), by precision and batch; for one sub-slice also launched one by one instead of as
/// one CUDA graph. Baseline in the same binary: true float32, no tensor cores. Counters: products without the
/// factor 3 of split_bf16, and the bytes that can not be left out, per second.
#include <benchmark/benchmark.h>

#include "bench/support/device_timer.hpp"
#include "bench/support/se2_workload.hpp"

namespace {

using namespace stofm;
using backend::Precision;

void forward(benchmark::State& state, Precision precision, bool graphs = true) {
  if (bench::no_device(state)) return;
  const bench::Se2Workload work(state.range(0), state.range(1));
  const auto weights = test::random_parameters(bench::published(), 1, 1.0);
  const pipeline::detail::HostTensors tensors(weights);
  const model::DistanceBias<float> bias(weights);
  const auto table = pipeline::device_bias_table(bias);
  backend::CudaSe2Encoder encoder(
      Cuda{0}, pipeline::device_sizes(bench::published()), tensors.list,
      {.bias_table = table.heads > 0 ? &table : nullptr, .precision = precision, .graphs = graphs});
  // Checked once: the rows are finite and the first slice is the same alone.
  std::vector<float> rows(static_cast<std::size_t>(work.batch * work.nodes * 256)),
      alone(rows.size() / static_cast<std::size_t>(work.batch));
  encoder.forward(work.slices, rows);
  encoder.forward({&work.slices[0], 1}, alone);
  for (std::size_t i = 0; i < alone.size(); ++i)
    if (!(std::abs(rows[i] - alone[i]) <= 0.05F * (1.0F + std::abs(alone[i]))))
      return state.SkipWithError("a slice differs between batches");
  encoder.load(work.slices);
  const bench::OnStream on(encoder.stream());
  bench::DeviceTimer timer(Cuda{0});
  for (int i = 0; i < 3; ++i) timer.seconds([&] { encoder.compute(); });
  if (graphs != (encoder.graph_use().replayed > 0)) return state.SkipWithError("not the launches asked for");
  double seconds = 0;
  for (auto _ : state) {
    const double each = timer.seconds([&] { encoder.compute(); });
    state.SetIterationTime(each);
    seconds += each;
  }
  const double passes = static_cast<double>(state.iterations());
  state.counters["sub-slices/s"] = passes * static_cast<double>(work.batch) / seconds;
  state.counters["FLOP/s"] = passes * work.forward_flop() / seconds;
  state.counters["bytes/s"] = passes * work.bytes() / seconds;
  state.counters["device_MiB"] = static_cast<double>(encoder.device_bytes() >> 20);
}

/// From host memory to host memory, copies and the preparation of the lists included: what `embed` sees.
void end_to_end(benchmark::State& state, Precision precision) {
  if (bench::no_device(state)) return;
  const bench::Se2Workload work(state.range(0), state.range(1));
  const auto weights = test::random_parameters(bench::published(), 1, 1.0);
  const pipeline::detail::HostTensors tensors(weights);
  const model::DistanceBias<float> bias(weights);
  const auto table = pipeline::device_bias_table(bias);
  backend::CudaSe2Encoder encoder(Cuda{0}, pipeline::device_sizes(bench::published()), tensors.list,
                                  {.bias_table = table.heads > 0 ? &table : nullptr, .precision = precision});
  std::vector<float> rows(static_cast<std::size_t>(work.batch * work.nodes * 256));
  encoder.submit(work.slices);
  for (auto _ : state) {
    encoder.submit(work.slices);
    encoder.collect(rows);
  }
  encoder.collect(rows);
  state.counters["sub-slices/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * work.batch), benchmark::Counter::kIsRate);
}

}  // namespace

BENCHMARK_CAPTURE(forward, split_bf16, Precision::split_bf16)
    ->ArgNames({"B", "N"})
    ->Args({1, 1050})
    ->Args({16, 1050})
    ->Args({64, 1050})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(forward, split_bf16_without_graph, Precision::split_bf16, false)
    ->ArgNames({"B", "N"})
    ->Args({1, 1050})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(forward, bf16, Precision::bf16)
    ->ArgNames({"B", "N"})
    ->Args({1, 1050})
    ->Args({64, 1050})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(forward, float32, Precision::float32)
    ->ArgNames({"B", "N"})
    ->Args({1, 1050})
    ->Args({16, 1050})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(end_to_end, bf16, Precision::bf16)
    ->ArgNames({"B", "N"})
    ->Args({64, 1050})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
