// SPDX-License-Identifier: MIT
// Pair attention of a training step at the shape of the published model: 4 layers, 8 heads of 32, 1050 nodes,
// dropout 0.1, about 14 % of the pairs listed. Times are of all four layers together. Baselines in the same
// binary: the generic level (Eigen) and the dense composition that carries the pair state. Run:
// bench/pair_attention_training_bench.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <ranges>
#include <string>
#include <vector>

#include "tests/support/pair_attention_composed.hpp"

using namespace stofm;
using namespace stofm::autograd;

namespace {

constexpr std::int64_t heads = 8, width = 32, layers = 4;

Tensor<float> normal(const Shape& shape, std::uint64_t seed, double factor = 1.0) {
  Tensor<float> t(shape);
  Random random(seed);
  for (float& v : t.span()) v = static_cast<float>(factor * random.normal());
  return t;
}

/// The listed pairs of a sub-slice: 50 nodes with full rows and columns, 55 neighbours for the others.
PairList sub_slice_pattern(std::int64_t n) {
  PairList pattern;
  pattern.nodes = n;
  Random random(9);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      if (i < 50 || j < 50 || random.below(static_cast<std::uint64_t>(n)) < 55)
        pattern.columns.push_back(static_cast<std::int32_t>(j));
    pattern.row_offsets.push_back(pattern.entries());
  }
  return pattern;
}

struct Step {
  std::int64_t nodes;
  PairList pattern = sub_slice_pattern(nodes);
  std::vector<Tensor<float>> x;
  Tensor<float> values = normal({heads, pattern.entries()}, 10), background = normal({heads}, 11),
                grad_y = normal({nodes, heads*width}, 12);
  std::vector<std::int64_t> rows,
      columns;  // of the pair loss: every pair with one of the first tenth of the nodes

  explicit Step(std::int64_t n) : nodes(n) {
    for (std::uint64_t i = 0; i < 3 * layers; ++i) x.push_back(normal({n, heads * width}, i));
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        if (i < n / 10 || j < n / 10) {
          rows.push_back(i);
          columns.push_back(j);
        }
  }

  /// Wall time, and processor time of all threads: on a busy machine the half of the latter is nearer to the
  /// truth.
  struct Time {
    double wall = 0, processor = 0;
  };
  struct Seconds {
    Time forward, backward, pairs_forward, pairs_backward;
  };

  template <template <class> class Graph>
  Seconds run(bool with_pairs) const {
    auto now = [] {
      return Time{std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(),
                  static_cast<double>(std::clock()) / CLOCKS_PER_SEC};
    };
    auto since = [&](Time start) { return Time{now().wall - start.wall, now().processor - start.processor}; };
    Seconds seconds;
    Tape<float> tape;
    std::vector<Variable<float>> in;
    for (const auto& t : x) in.push_back(tape.input(t));
    Graph<float> graph(heads, width, pattern, tape.input(values), tape.input(background));
    Variable<float> y;
    auto start = now();
    for (std::size_t l = 0; l < static_cast<std::size_t>(layers); ++l) {
      // The next layer's queries, as far as the tape knows, depend on this layer: layers go backward one by
      // one.
      const auto q = l == 0 || with_pairs ? in[3 * l] : after(in[3 * l], y);
      y = graph.attend(q, in[3 * l + 1], in[3 * l + 2], {1.0 / std::sqrt(32.0), 0.1, RandomKey{1, l, 1}});
    }
    seconds.forward = since(start);
    if (with_pairs) {
      start = now();
      const auto pairs = graph.pair_values(rows, columns);
      seconds.pairs_forward = since(start);
      start = now();
      tape.backward(pairs, Tensor<float>::full(pairs.shape(), 0.01F));
      seconds.pairs_backward = since(start);
      return seconds;
    }
    start = now();
    tape.backward(y, grad_y);
    seconds.backward = since(start);
    return seconds;
  }

  static Variable<float> after(const Variable<float>& x, const Variable<float>& y) {
    return record<float>("after", x.value(), {x, y}, [](const Tensor<float>& grad, Gradients<float>& into) {
      into.add(0, grad);
      into.add(1, grad);
    });
  }
};

void add(const std::string& name, CpuKernels level, double flop, bool with_pairs,
         Step::Time Step::Seconds::*member, bool composed) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 static const Step step(1050);
                                 const CpuKernels before = cpu_kernels();
                                 set_cpu_kernels(level);
                                 double processor = 0;
                                 for (auto _ : state) {
                                   const auto seconds = composed ? step.run<PairAttentionComposed>(with_pairs)
                                                                 : step.run<PairAttentionGraph>(with_pairs);
                                   state.SetIterationTime((seconds.*member).wall);
                                   processor += (seconds.*member).processor;
                                 }
                                 set_cpu_kernels(before);
                                 state.counters["processor_ms"] =
                                     benchmark::Counter(1e3 * processor, benchmark::Counter::kAvgIterations);
                                 state.counters["FLOP/s"] =
                                     benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
                               })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

void require_same_result() {
  const Step step(300);
  auto gradient = [&]<template <class> class Graph>() {
    Tape<float> tape;
    const auto q = tape.input(step.x[0]);
    Graph<float> graph(heads, width, step.pattern, constant(step.values), constant(step.background));
    const auto y = graph.attend(q, constant(step.x[1]), constant(step.x[2]), {0.2, 0.1, {}});
    tape.backward(y, step.grad_y);
    return tape.grad(q);
  };
  const auto a = gradient.operator()<PairAttentionGraph>(), b = gradient.operator()<PairAttentionComposed>();
  double error = 0, size = 0;
  for (std::int64_t k = 0; k < a.numel(); ++k) {
    error = std::max(error, std::abs(static_cast<double>(a.data()[k]) - static_cast<double>(b.data()[k])));
    size = std::max(size, std::abs(static_cast<double>(b.data()[k])));
  }
  if (!(error <= 1e-4 * size)) {
    std::fprintf(stderr, "the gradient differs from that of the composition by %g of %g\n", error, size);
    std::exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  require_same_result();
  const double unit = 2.0 * 1050 * 1050 * heads * width;
  const std::string shape = "/float/N:1050/H:8/D:32/layers:4";
  for (const CpuKernels level : std::views::reverse(cpu_kernel_levels())) {
    const std::string name = "pair_attention/" + std::string(to_string(level));
    add(name + "/forward" + shape, level, unit * (10 + layers), false, &Step::Seconds::forward, false);
    add(name + "/backward" + shape, level, unit * (3 * 10 + 2 * layers), false, &Step::Seconds::backward,
        false);
    add(name + "/pair_values_forward" + shape, level, unit * layers, true, &Step::Seconds::pairs_forward,
        false);
    add(name + "/pair_values_backward" + shape, level, unit * 2 * layers, true,
        &Step::Seconds::pairs_backward, false);
  }
  add("pair_attention/composed/forward" + shape, CpuKernels::generic, unit * 2 * layers, false,
      &Step::Seconds::forward, true);
  add("pair_attention/composed/backward" + shape, CpuKernels::generic, unit * 4 * layers, false,
      &Step::Seconds::backward, true);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
