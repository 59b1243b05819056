// SPDX-License-Identifier: MIT
/// Cells of 200 to 2,048 tokens through the published cell encoder (6 layers of 256, 4 heads, 512) on a CUDA
/// device, from host memory to host memory, copies included; a training pass; and, as baseline in the same
/// binary, the matrix products of the full layers by cuBLAS alone, in bfloat16. Counters: cells and tokens
/// per second; FLOP/s counts products and attention, without the factor 3 of split_bf16.
#include <benchmark/benchmark.h>

#include <cmath>

#include "bench/kernels/cell_encoder_gpu_bench_baseline.hpp"
#include "bench/support/device_timer.hpp"
#include "bench/support/published_cell_encoder.hpp"
#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "tests/model/random_model.hpp"

namespace {

using namespace stofm;
using backend::Precision;

/// Cells of mixed length, the same in every run.
struct Cells {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};

  explicit Cells(std::int64_t count) {
    Random random(1);
    for (std::int64_t cell = 0; cell < count; ++cell) {
      const auto length = 200 + static_cast<std::int64_t>(random.below(1849));
      for (std::int64_t i = 0; i < length; ++i)
        tokens.push_back(static_cast<std::int32_t>(2 + random.below(25425)));
      offsets.push_back(static_cast<std::int64_t>(tokens.size()));
    }
  }
  /// Five full layers; the last one, for position 0, is left out.
  double flop() const {
    double sum = 0;
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
      const auto length = static_cast<double>(offsets[s + 1] - offsets[s]);
      sum += 5 * length * (2.0 * (4 * 256.0 * 256 + 2 * 256.0 * 512) + 4 * 256.0 * length);
    }
    return sum;
  }
};

void embed(benchmark::State& state, Precision precision) {
  if (bench::no_device(state)) return;
  const Cells cells(state.range(0));
  const auto weights = test::random_parameters(bench::published_cell_encoder(), 1, 1.0);
  const pipeline::detail::HostTensors tensors(weights);
  const backend::CudaCellEncoder encoder(Cuda{0}, pipeline::device_sizes(bench::published_cell_encoder()),
                                         tensors.list, {.precision = precision});
  std::vector<float> rows(static_cast<std::size_t>(state.range(0)) * 256);
  encoder.embed(cells.tokens, cells.offsets, rows);
  for (std::size_t i = 0; i < rows.size(); i += 256) {
    double norm = 0;
    for (std::size_t j = 0; j < 256; ++j)
      norm += static_cast<double>(rows[i + j]) * static_cast<double>(rows[i + j]);
    if (!(std::abs(norm - 1.0) < 1e-4)) return state.SkipWithError("an embedding is not of length 1");
  }
  for (auto _ : state) encoder.embed(cells.tokens, cells.offsets, rows);
  const auto rate = [&](double each) {
    return benchmark::Counter(static_cast<double>(state.iterations()) * each, benchmark::Counter::kIsRate);
  };
  state.counters["cells/s"] = rate(static_cast<double>(state.range(0)));
  state.counters["tokens/s"] = rate(static_cast<double>(cells.tokens.size()));
  state.counters["FLOP/s"] = rate(cells.flop());
}

/// Forward, backward and update for the embeddings of a batch.
void train(benchmark::State& state, Precision precision) {
  if (bench::no_device(state)) return;
  const Cells cells(state.range(0));
  auto weights = test::random_parameters(bench::published_cell_encoder(), 1, 1.0);
  std::vector<backend::CellEncoderParameterState> parameters;
  for (auto& [name, tensor] : weights) parameters.push_back({name, true, tensor.span(), {}, {}, 0});
  backend::CudaCellEncoderTrainer trainer(
      Cuda{0}, pipeline::device_sizes(bench::published_cell_encoder()), parameters,
      {.precision = precision, .hidden_dropout = 0.02, .attention_dropout = 0.02});
  const std::vector<std::int64_t> places(cells.offsets.begin(), cells.offsets.end() - 1);
  const std::vector<float> gradient(places.size() * 256, 0.01F);
  std::uint64_t step = 0;
  for (auto _ : state) {
    trainer.forward(0, {cells.tokens, cells.offsets, places, RandomKey{1, 2, ++step}, true});
    trainer.add_state_gradient(0, gradient);
    trainer.backward(0);
    trainer.update(1e-6, 1.0 / (1.0 + trainer.gradient_norm()));  // the norm waits for the device
  }
  state.counters["cells/s"] = benchmark::Counter(static_cast<double>(state.iterations() * state.range(0)),
                                                 benchmark::Counter::kIsRate);
}

/// The rate of cuBLAS on the shapes of a full layer.
void products_by_cublas(benchmark::State& state) {
  if (bench::no_device(state)) return;
  const backend::CudaStream stream = backend::current_stream(Cuda{0});
  bench::LayerProducts products(state.range(0), 256, 512, stream.handle);
  bench::DeviceTimer timer(Cuda{0});
  for (int i = 0; i < 3; ++i) timer.seconds([&] { products.layer(); });
  double seconds = 0;
  for (auto _ : state) {
    const double each = timer.seconds([&] { products.layer(); });
    state.SetIterationTime(each);
    seconds += each;
  }
  state.counters["FLOP/s"] = static_cast<double>(state.iterations()) * products.flop() / seconds;
}

}  // namespace

BENCHMARK_CAPTURE(embed, bf16, Precision::bf16)
    ->ArgName("cells")
    ->Arg(512)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(embed, split_bf16, Precision::split_bf16)
    ->ArgName("cells")
    ->Arg(512)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(embed, float32, Precision::float32)
    ->ArgName("cells")
    ->Arg(64)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train, bf16, Precision::bf16)
    ->ArgName("cells")
    ->Arg(32)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train, split_bf16, Precision::split_bf16)
    ->ArgName("cells")
    ->Arg(32)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(products_by_cublas)->ArgName("tokens")->Arg(65536)->UseManualTime()->Unit(benchmark::kMicrosecond);

BENCHMARK_MAIN();
