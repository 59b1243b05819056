// SPDX-License-Identifier: MIT
/// Cells of the published cell encoder's size (Geneformer V1: 6 layers, 256 wide, 4 heads, random weights) a
/// second. Sequences: the cells of the tokens case named by STOFM_TOKENS, else synthetic lengths. Baselines
/// in the same binary: float32 products beside bfloat16 ones, the full last layer for every token instead of
/// position 0 alone. "of_fma_peak": operations that the formula asks for, a second of processor time, beside
/// what one thread does in registers. STOFM_BENCH_THREADS=1: one thread.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <ctime>
#include <map>
#include <ranges>
#include <string>

#include "bench/support/fma_peak.hpp"
#include "bench/support/published_cell_encoder.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/model/cell_encoder.hpp"
#include "tests/model/random_model.hpp"

namespace {

using namespace stofm;

struct Cells {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
};

/// `count` cells of `length` tokens; length 0: the first `count` cells of $STOFM_TOKENS, count 0: all of
/// them.
Cells cells(std::int64_t count, std::int64_t length) {
  Cells result;
  Random random(3);
  const char* path = std::getenv("STOFM_TOKENS");
  if (length > 0 || path == nullptr || *path == '\0') {
    for (std::int64_t c = 0; c < count; ++c) {
      const std::int64_t n = length > 0 ? length : 60 + static_cast<std::int64_t>(random.below(200));
      for (std::int64_t i = 0; i < n; ++i)
        result.tokens.push_back(i == 0 ? 25426 : static_cast<std::int32_t>(2 + random.below(25424)));
      result.offsets.push_back(static_cast<std::int64_t>(result.tokens.size()));
    }
    return result;
  }
  const auto file = io::SafetensorsFile::open(path);
  const auto tokens = file.read<std::int64_t>("tokens"), offsets = file.read<std::int64_t>("offsets");
  count = count == 0 ? offsets.numel() - 1 : (std::min)(count, offsets.numel() - 1);
  for (std::int64_t c = 1; c <= count; ++c) result.offsets.push_back(offsets(c));
  for (std::int64_t i = 0; i < result.offsets.back(); ++i)
    result.tokens.push_back(narrow<std::int32_t>(tokens(i), "token"));
  return result;
}

const model::NamedTensors<float>& weights() {
  static const auto values = test::random_parameters(bench::published_cell_encoder(), 1, 1.0);
  return values;
}

/// Floating-point operations of products and attention of all layers for these cells. Position 0 alone: its
/// last layer reads each token twice a head, once for the logits and once for the sum.
double operations(const Cells& sample, bool full_last_layer) {
  const model::CellEncoderConfig c = bench::published_cell_encoder();
  const auto width = static_cast<double>(c.hidden_size), between = static_cast<double>(c.intermediate_size),
             heads = static_cast<double>(c.num_attention_heads),
             layers = static_cast<double>(c.num_hidden_layers - (full_last_layer ? 0 : 1));
  double sum = 0;
  for (std::size_t i = 0; i + 1 < sample.offsets.size(); ++i) {
    const auto n = static_cast<double>(sample.offsets[i + 1] - sample.offsets[i]);
    sum += layers * n * (8 * width * width + 4 * width * between + 4 * n * width);
    if (!full_last_layer) sum += 4 * n * width * heads;
  }
  return sum;
}

/// fma_peak of a level, measured once.
double peak_of(CpuKernels level) {
  static std::map<CpuKernels, double> known;
  const auto at = known.find(level);
  return at != known.end() ? at->second : known[level] = bench::fma_peak(level);
}

void encode(benchmark::State& state, CpuKernels level, bool full_last_layer, MatmulGrade grade) {
  if (!has_cpu_kernels(level)) return state.SkipWithError("this machine lacks these kernels");
  set_cpu_kernels(level);
  const model::CellEncoder<float> model(bench::published_cell_encoder(), weights(), {.grade = grade});
  const Cells sample = cells(state.range(0), state.range(1));
  const double peak = peak_of(level);
  const std::clock_t begin = std::clock();
  for (auto _ : state)
    benchmark::DoNotOptimize(full_last_layer ? model.last_hidden_state(sample.tokens, sample.offsets).data()
                                             : model.embed(sample.tokens, sample.offsets).data());
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  if (peak > 0 && seconds > 0)
    state.counters["of_fma_peak"] = operations(sample, full_last_layer) *
                                    static_cast<double>(state.iterations()) / seconds / (peak * 1e9);
  const double cell_count = static_cast<double>(sample.offsets.size() - 1);
  state.counters["cells/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * cell_count, benchmark::Counter::kIsRate);
  state.counters["tokens/cell"] = static_cast<double>(sample.tokens.size()) / cell_count;
}

void register_all() {
  for (const CpuKernels level : std::views::reverse(cpu_kernel_levels()))
    for (const char* form : {"/position_0", "/position_0/bfloat16", "/full_last_layer"}) {
      const std::string name = form;
      const bool full = name == "/full_last_layer";
      const MatmulGrade grade = name == "/position_0/bfloat16" ? MatmulGrade::bfloat16 : MatmulGrade::float32;
      auto* bench =
          benchmark::RegisterBenchmark(("model/cell_encoder/" + std::string(to_string(level)) + name).c_str(),
                                       [=](benchmark::State& state) { encode(state, level, full, grade); });
      bench->MeasureProcessCPUTime()
          ->ArgNames({"cells", "tokens"})
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
      bench->Args({64, 0})->Args({32, 256});
      if (std::getenv("STOFM_TOKENS") != nullptr) bench->Args({0, 0});
      if (level != CpuKernels::generic) bench->Args({2, 2048});
    }
}

}  // namespace

int main(int argc, char** argv) {
  if (const char* threads = std::getenv("STOFM_BENCH_THREADS")) set_thread_count(std::atoi(threads));
  register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
