// SPDX-License-Identifier: MIT
// Forward and backward of the rules at the shapes of the models, per kernel level. Names:
// rule/<name>/<level>/f32/<shape>. Baseline: the generic level of the same program. Run: bench/rules_bench.
#include <benchmark/benchmark.h>

#include <cmath>
#include <functional>
#include <ranges>
#include <string>
#include <vector>

#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/layer_norm.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/autograd/rules/varlen_attention.hpp"
#include "stofm/core/random.hpp"

using namespace stofm;
using namespace stofm::autograd;

namespace {
using Variables = std::vector<Variable<float>>;
using Rule = std::function<Variable<float>(const Variables&)>;

Tensor<float> normal(const Shape& shape, std::uint64_t seed) {
  Tensor<float> t(shape);
  Random random(seed);
  for (float& v : t.span()) v = static_cast<float>(random.normal());
  return t;
}

void run(benchmark::State& state, CpuKernels level, const std::vector<Shape>& shapes, const Rule& rule) {
  set_cpu_kernels(level);
  std::vector<Tensor<float>> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i) inputs.push_back(normal(shapes[i], i));
  Tape<float> tape;
  Tensor<float> weights;
  auto pass = [&] {
    Variables x;
    for (const auto& input : inputs) x.push_back(tape.input(input));
    const auto y = rule(x);
    if (weights.shape() == Shape{0}) weights = normal(y.shape(), 99);
    tape.backward(y, weights);
    benchmark::DoNotOptimize(tape.grad(x[0]).data());
    tape.clear();
  };
  pass();
  for (auto _ : state) pass();
}

void add(const std::string& name, const std::string& shape, const std::vector<Shape>& shapes,
         const Rule& rule) {
  for (const CpuKernels level : std::views::reverse(cpu_kernel_levels()))
    benchmark::RegisterBenchmark(
        ("rule/" + name + "/" + std::string(to_string(level)) + "/f32/" + shape).c_str(),
        [=](benchmark::State& state) { run(state, level, shapes, rule); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
}
}  // namespace

int main(int argc, char** argv) {
  for (const std::int64_t m : {1050, 8192})
    add("linear", concat("M:", m, "/K:256/N:1024"), {{m, 256}, {1024, 256}, {1024}},
        [](const Variables& x) { return linear(x[0], x[1], x[2]); });
  add("gelu", "M:1050/N:1024", {{1050, 1024}}, [](const Variables& x) { return gelu(x[0]); });
  add("add_layer_norm", "M:1050/N:256", {{1050, 256}, {1050, 256}, {256}, {256}},
      [](const Variables& x) { return add_layer_norm(x[0], x[1], x[2], x[3], 1e-5); });
  for (const auto& [sequences, length] : {std::pair<std::int64_t, std::int64_t>{32, 256}, {4, 2048}}) {
    std::vector<std::int64_t> offsets;
    for (std::int64_t s = 0; s <= sequences; ++s) offsets.push_back(s * length);
    const Shape shape{offsets.back(), 256};
    add("varlen_attention", concat("S:", sequences, "/T:", length, "/H:4/D:64"), {shape, shape, shape},
        [offsets](const Variables& x) { return varlen_attention(x[0], x[1], x[2], offsets, 4, 0.125); });
  }
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 8192; ++i) tokens.push_back(i * 7919 % 25426);
  add("gather_rows", "V:25426/C:256/n:8192", {{25426, 256}},
      [tokens](const Variables& x) { return gather_rows(x[0], tokens); });
  std::vector<std::int32_t> targets(1000, 5);
  add("cross_entropy", "M:1000/V:25426", {{1000, 25426}},
      [targets](const Variables& x) { return cross_entropy(x[0], targets); });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
