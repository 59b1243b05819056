// SPDX-License-Identifier: MIT
// Attention at the shapes of the models: the ops of a whole SE(2) sub-slice (4 layers of pair attention, and
// with all linear layers and norms around it), and the packed sequences of the cell encoder. The generic
// level is the baseline: Eigen's products over the same row blocks. Run: bench/attention_bench.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ranges>
#include <string>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/ops/layer_norm.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/pair_attention.hpp"
#include "stofm/ops/varlen_attention.hpp"

using namespace stofm;

namespace {

Tensor<float> normal(const Shape& shape, std::uint64_t seed, double factor = 1.0) {
  Tensor<float> t(shape);
  Random random(seed);
  for (float& v : t.span()) v = static_cast<float>(factor * random.normal());
  return t;
}

/// The listed pairs of a sub-slice: 50 nodes with full rows and columns, 50 neighbours for the others, about
/// 14 %.
struct Bias {
  PairList pairs;
  Tensor<float> values;
  std::int64_t heads;

  Bias(std::int64_t n, std::int64_t h) : heads(h) {
    pairs.nodes = n;
    Random random(9);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j)
        if (i < 50 || j < 50 || random.below(static_cast<std::uint64_t>(n)) < 55)
          pairs.columns.push_back(static_cast<std::int32_t>(j));
      pairs.row_offsets.push_back(pairs.entries());
    }
    values = normal({h, pairs.entries()}, 10);
  }
  SparsePairBias<float> view() const {
    return {pairs, values, std::vector<float>(static_cast<std::size_t>(heads), 0.5F)};
  }
};

void require_close(const Tensor<float>& y, const Tensor<float>& expected) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < y.span().size(); ++i) {
    const double e = static_cast<double>(expected.span()[i]), d = static_cast<double>(y.span()[i]) - e;
    error += d * d;
    size += e * e;
  }
  if (!(error <= 1e-8 * size)) {
    std::fprintf(stderr, "attention_bench: wrong result, relative error %g\n", std::sqrt(error / size));
    std::exit(1);
  }
}

constexpr std::int64_t heads = 8, width = 32, embedding = 256;

/// One sub-slice: post-LN layers with q, k, v in one product, without the table of the bias.
class SubSlice {
 public:
  SubSlice(std::int64_t nodes, int layers) : bias_(nodes, heads), nodes_(nodes) {
    x_ = normal({nodes, embedding}, 1);
    gamma_ = Tensor<float>::full({embedding}, 1.0F);
    beta_ = Tensor<float>::zeros({embedding});
    for (int l = 0; l < layers; ++l) {
      const auto seed = static_cast<std::uint64_t>(l) * 10 + 20;
      qkv_.emplace_back(normal({3 * embedding, embedding}, seed, 0.05));
      for (std::uint64_t m = 1; m < 4; ++m)
        rest_.emplace_back(normal({embedding, embedding}, seed + m, 0.05));
    }
  }
  Tensor<float> forward() {
    Tensor<float> x = x_.clone(), qkv(Shape{nodes_, 3 * embedding}), a(Shape{nodes_, embedding}),
                  b(a.shape());
    ops::PairAttention<float> attention(heads, width, bias_.view());
    for (std::size_t l = 0; l < qkv_.size(); ++l) {
      qkv_[l].apply_into(qkv.view(), x.view());
      const auto q = qkv.slice(1, 0, embedding), k = qkv.slice(1, embedding, 2 * embedding),
                 v = qkv.slice(1, 2 * embedding, 3 * embedding);
      attention.append(q.view(), k.view());
      attention.attend_into(a.view(), v.view());
      rest_[3 * l].apply_into(b.view(), a.view());
      ops::add_layer_norm_into(x.view(), x.view(), b.view(), gamma_.view(), beta_.view(), 1e-5);
      rest_[3 * l + 1].apply_into(a.view(), x.view(), {.activation = Activation::gelu});
      rest_[3 * l + 2].apply_into(b.view(), a.view());
      ops::add_layer_norm_into(x.view(), x.view(), b.view(), gamma_.view(), beta_.view(), 1e-5);
    }
    return x;
  }
  void pack() {
    for (auto& layer : qkv_) layer = ops::PackedLinear<float>(layer.weight());
    for (auto& layer : rest_) layer = ops::PackedLinear<float>(layer.weight());
  }

 private:
  Bias bias_;
  std::int64_t nodes_;
  Tensor<float> x_, gamma_, beta_;
  std::vector<ops::PackedLinear<float>> qkv_, rest_;
};

void run_sub_slice(benchmark::State& state, CpuKernels level, std::int64_t nodes) {
  SubSlice slice(nodes, 4);
  set_cpu_kernels(CpuKernels::generic);
  const auto expected = slice.forward();
  set_cpu_kernels(level);
  slice.pack();
  require_close(slice.forward(), expected);
  for (auto _ : state) benchmark::DoNotOptimize(slice.forward());
}

void run_pair(benchmark::State& state, CpuKernels level, std::int64_t nodes, int layers) {
  set_cpu_kernels(level);
  const Bias bias(nodes, heads);
  const auto q = normal({nodes, embedding}, 1, 0.2), k = normal({nodes, embedding}, 2),
             v = normal({nodes, embedding}, 3);
  ops::PairAttention<float> attention(heads, width, bias.view());
  for (int l = 0; l < layers; ++l) attention.append(q.view(), k.view());
  Tensor<float> y(Shape{nodes, embedding});
  for (auto _ : state) {
    attention.attend_into(y.view(), v.view());
    benchmark::DoNotOptimize(y.data());
  }
  state.counters["logits/s"] = benchmark::Counter(static_cast<double>(heads * nodes * nodes),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

void run_varlen(benchmark::State& state, CpuKernels level, std::int64_t length, std::int64_t sequences) {
  std::vector<std::int64_t> offsets{0};
  for (std::int64_t s = 0; s < sequences; ++s) offsets.push_back(offsets.back() + length - 5 + s % 11);
  const auto q = normal({offsets.back(), 256}, 1), k = normal({offsets.back(), 256}, 2),
             v = normal({offsets.back(), 256}, 3);
  Tensor<float> y(q.shape()), expected(q.shape());
  set_cpu_kernels(CpuKernels::generic);
  ops::varlen_attention_into(expected.view(), q.view(), k.view(), v.view(), offsets, 4, 0.125);
  set_cpu_kernels(level);
  ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), offsets, 4, 0.125);
  require_close(y, expected);
  double logits = 0;
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
    logits += 4 * std::pow(static_cast<double>(offsets[s + 1] - offsets[s]), 2);
  for (auto _ : state) {
    ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), offsets, 4, 0.125);
    benchmark::DoNotOptimize(y.data());
  }
  state.counters["logits/s"] = benchmark::Counter(logits, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  for (const CpuKernels level : std::views::reverse(cpu_kernel_levels())) {
    const std::string name(to_string(level));
    auto add = [](const std::string& title, auto body) {
      benchmark::RegisterBenchmark(title.c_str(), body)->UseRealTime()->Unit(benchmark::kMillisecond);
    };
    for (const std::int64_t nodes : {1050, 2100})
      add("sub_slice/" + name + "/f32/N:" + std::to_string(nodes) + "/E:256/H:8/L:4",
          [=](benchmark::State& state) { run_sub_slice(state, level, nodes); });
    for (const int layers : {1, 4})
      add("pair_attention/" + name + "/f32/N:1050/H:8/d:32/L:" + std::to_string(layers),
          [=](benchmark::State& state) { run_pair(state, level, 1050, layers); });
    add("varlen_attention/" + name + "/f32/S:48/B:170/H:4/d:64",
        [=](benchmark::State& state) { run_varlen(state, level, 48, 170); });
    add("varlen_attention/" + name + "/f32/S:1072/B:8/H:4/d:64",
        [=](benchmark::State& state) { run_varlen(state, level, 1072, 8); });
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
