// SPDX-License-Identifier: MIT
/// One sub-slice of the published size through the SE(2) Transformer (random weights), and its parts.
/// Baselines in the same binary: float32 products (`table`) beside bfloat16 ones, the forward pass with the
/// Gaussian network computed once per distinct distance (`network`). STOFM_BENCH_THREADS=1: one thread.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <ranges>
#include <string>

#include "stofm/core/cpu_features.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "tests/model/random_model.hpp"

namespace {

using namespace stofm;

model::Se2Config published() {
  model::Se2Config config;
  config.input_dim = config.embedding_dim = config.ffn_embedding_dim = 256;
  config.num_attention_heads = 8;
  config.num_hidden_layers = 4;
  config.gaussian_hidden_dim = 128;
  return config;
}

/// CLS, 49 virtual cells, the rest cells, 49 neighbours: the sparsity of a real sub-slice.
const test::RandomSubSlice& sub_slice(std::int64_t nodes) {
  static std::map<std::int64_t, test::RandomSubSlice> slices;
  const auto found = slices.find(nodes);
  if (found != slices.end()) return found->second;
  return slices.emplace(nodes, test::random_sub_slice(nodes, 49, 256, 1, 49)).first->second;
}

const model::NamedTensors<float>& weights() {
  static const auto values = test::random_parameters(published(), 1, 1.0);
  return values;
}

bool use_level(benchmark::State& state, CpuKernels level) {
  if (!has_cpu_kernels(level)) {
    state.SkipWithError("this machine lacks these kernels");
    return false;
  }
  set_cpu_kernels(level);
  return true;
}

void forward(benchmark::State& state, CpuKernels level, bool use_table, MatmulGrade grade) {
  if (!use_level(state, level)) return;
  model::Se2EncoderOptions options;
  options.distance_bias.use_table = use_table;
  options.grade = grade;
  const model::Se2Encoder<float> model(published(), weights(), options);
  const test::RandomSubSlice& slice = sub_slice(state.range(0));
  for (auto _ : state) {
    const auto output = model.forward(slice.embeddings.view(), slice.distances, slice.types);
    benchmark::DoNotOptimize(output.last_hidden_state.data());
  }
  state.counters["nodes/s"] = benchmark::Counter(static_cast<double>(state.iterations() * state.range(0)),
                                                 benchmark::Counter::kIsRate);
}

void pair_bias(benchmark::State& state, CpuKernels level) {
  if (!use_level(state, level)) return;
  const model::DistanceBias<float> bias(weights());
  const test::RandomSubSlice& slice = sub_slice(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(bias.pair_bias(slice.distances).values.data());
  state.counters["entries"] = static_cast<double>(slice.distances.entries());
}

void build_table(benchmark::State& state) {
  for (auto _ : state) {
    const model::DistanceBias<float> bias(weights());
    benchmark::DoNotOptimize(bias.background().data());
    state.counters["intervals"] =
        static_cast<double>(bias.table() != nullptr ? bias.table()->intervals() : 0);
  }
}

void register_all() {
  for (const CpuKernels level : std::views::reverse(cpu_kernel_levels())) {
    const std::string name(to_string(level));
    for (const std::string form : {"/table", "/bfloat16", "/network"})
      benchmark::RegisterBenchmark(("model/se2_forward/" + name + form + "/L:4/E:256/H:8/N").c_str(),
                                   [=](benchmark::State& state) {
                                     forward(
                                         state, level, form != "/network",
                                         form == "/bfloat16" ? MatmulGrade::bfloat16 : MatmulGrade::float32);
                                   })
          ->MeasureProcessCPUTime()
          ->Arg(1050)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    benchmark::RegisterBenchmark(("model/pair_bias/" + name + "/H:8/N").c_str(),
                                 [=](benchmark::State& state) { pair_bias(state, level); })
        ->Arg(1050)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  benchmark::RegisterBenchmark("model/bias_table_build/K:128/H:8", build_table)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  if (const char* threads = std::getenv("STOFM_BENCH_THREADS")) set_thread_count(std::atoi(threads));
  register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
