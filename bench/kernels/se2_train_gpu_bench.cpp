// SPDX-License-Identifier: MIT
/// Training steps of the published SE(2) Transformer on a CUDA device (forward with dropout, both losses,
/// backward, AdamW): kernels alone, by precision and batch. Baseline in the same binary: true float32, no
/// tensor cores. Counter FLOP/s: three times the products of a forward pass, a factor 3 of split_bf16 left
/// out.
#include <benchmark/benchmark.h>

#include "bench/support/device_timer.hpp"
#include "bench/support/se2_workload.hpp"
#include "stofm/model/pretraining_heads.hpp"
#include "stofm/nn/adamw.hpp"

namespace {

using namespace stofm;
using backend::Precision;

void step(benchmark::State& state, Precision precision) {
  if (bench::no_device(state)) return;
  const bench::Se2Workload work(state.range(0), state.range(1));
  const bench::Se2Labels labels(work.batch);
  auto weights = test::random_parameters(bench::published(), 1, 1.0);
  weights.merge(model::initial_head_parameters<float>(bench::published()));
  std::vector<backend::Se2ParameterState> parameters;
  for (auto& [name, tensor] : weights)
    parameters.push_back({.name = name, .decays = nn::decays_by_name(name), .value = tensor.span()});
  backend::CudaSe2Trainer trainer(Cuda{0}, pipeline::device_sizes(bench::published()), parameters,
                                  {.precision = precision, .dropout = {0.1, 0.1, 0.1}});
  const double masked = 1.0 / (150.0 * static_cast<double>(work.batch)),
               pairs = 1.0 / (150.0 * 150.0 * static_cast<double>(work.batch));
  const auto losses = trainer.accumulate(work.slices, labels.list, masked, pairs);
  if (!std::isfinite(losses.masked_cells) || !std::isfinite(losses.pair_distances))
    return state.SkipWithError("losses that are not finite");
  trainer.load(work.slices, labels.list);
  const bench::OnStream on(trainer.stream());
  bench::DeviceTimer timer(Cuda{0});
  for (int i = 0; i < 3; ++i) timer.seconds([&] { trainer.compute(masked, pairs, 1e-6); });
  double seconds = 0;
  for (auto _ : state) {
    const double each = timer.seconds([&] { trainer.compute(masked, pairs, 1e-6); });
    state.SetIterationTime(each);
    seconds += each;
  }
  const double steps = static_cast<double>(state.iterations());
  state.counters["sub-slices/s"] = steps * static_cast<double>(work.batch) / seconds;
  state.counters["FLOP/s"] = steps * 3 * work.training_flop() / seconds;
  state.counters["device_MiB"] = static_cast<double>(trainer.device_bytes() >> 20);
}

}  // namespace

BENCHMARK_CAPTURE(step, split_bf16, Precision::split_bf16)
    ->ArgNames({"B", "N"})
    ->Args({1, 1050})
    ->Args({16, 1050})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, bf16, Precision::bf16)
    ->ArgNames({"B", "N"})
    ->Args({16, 1050})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, float32, Precision::float32)
    ->ArgNames({"B", "N"})
    ->Args({16, 1050})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
