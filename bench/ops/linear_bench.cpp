// SPDX-License-Identifier: MIT
// Linear layers at the shapes of the models, every kernel level of this machine against Eigen's product in
// the same program. Names: linear/<level>/f32/M:rows/K:inputs/N:outputs[/activation]. Run:
// bench/linear_bench.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ranges>
#include <string>

#include "stofm/core/random.hpp"
#include "stofm/ops/linear.hpp"

using namespace stofm;

namespace {

Tensor<float> normal(const Shape& shape, std::uint64_t seed) {
  Tensor<float> t(shape);
  Random random(seed);
  for (float& v : t.span()) v = static_cast<float>(random.normal());
  return t;
}

/// Stops the program unless some rows of y are right to 1e-3 of the size of their sums.
void check_once(const Tensor<float>& y, const Tensor<float>& x, const Tensor<float>& w) {
  for (std::int64_t i = 0; i < y.dim(0); i += 97)
    for (std::int64_t j = 0; j < y.dim(1); j += 31) {
      double sum = 0, size = 0;
      for (std::int64_t k = 0; k < x.dim(1); ++k) {
        const double term = static_cast<double>(x(i, k)) * static_cast<double>(w(j, k));
        sum += term;
        size += std::abs(term);
      }
      if (!(std::abs(static_cast<double>(y(i, j)) - sum) <= 1e-4 * size)) {
        std::fprintf(stderr, "linear_bench: wrong result at (%lld, %lld)\n", static_cast<long long>(i),
                     static_cast<long long>(j));
        std::exit(1);
      }
    }
}

void count_flops(benchmark::State& state, std::int64_t m, std::int64_t k, std::int64_t n) {
  state.counters["FLOP/s"] =
      benchmark::Counter(2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void run_linear(benchmark::State& state, CpuKernels level, bool packed, std::int64_t m, std::int64_t k,
                std::int64_t n, Activation activation) {
  set_cpu_kernels(level);
  const auto x = normal({m, k}, 1), w = normal({n, k}, 2);
  const ops::PackedLinear<float> layer(w);
  Tensor<float> y(Shape{m, n});
  layer.apply_into(y.view(), x.view());
  check_once(y, x, w);
  for (auto _ : state) {
    if (packed)
      layer.apply_into(y.view(), x.view(), {.activation = activation});
    else
      ops::linear_into(y.view(), x.view(), w.view(), {}, {.activation = activation});
    benchmark::DoNotOptimize(y.data());
  }
  count_flops(state, m, k, n);
}

void run_eigen(benchmark::State& state, std::int64_t m, std::int64_t k, std::int64_t n) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix x = Matrix::Random(m, k), w = Matrix::Random(n, k);
  Matrix y(m, n);
  for (auto _ : state) {
    y.noalias() = x * w.transpose();
    benchmark::DoNotOptimize(y.data());
  }
  count_flops(state, m, k, n);
}

}  // namespace

int main(int argc, char** argv) {
  struct Case {
    std::int64_t m, k, n;
    Activation activation;
  };
  const Case cases[] = {{1050, 256, 768, Activation::identity}, {1050, 256, 256, Activation::identity},
                        {1050, 256, 256, Activation::gelu},     {8192, 256, 768, Activation::identity},
                        {8192, 256, 512, Activation::relu},     {8192, 512, 256, Activation::identity}};
  for (const Case& c : cases) {
    const std::string shape =
        "/f32/M:" + std::to_string(c.m) + "/K:" + std::to_string(c.k) + "/N:" + std::to_string(c.n);
    const std::string suffix = c.activation == Activation::gelu   ? "/gelu"
                               : c.activation == Activation::relu ? "/relu"
                                                                  : "";
    for (const CpuKernels level : std::views::reverse(cpu_kernel_levels())) {
      if (level == CpuKernels::generic) continue;  // above
      const std::string name = "linear/" + std::string(to_string(level));
      benchmark::RegisterBenchmark((name + "_packed" + shape + suffix).c_str(), [=](benchmark::State& state) {
        run_linear(state, level, true, c.m, c.k, c.n, c.activation);
      })->UseRealTime();
      benchmark::RegisterBenchmark((name + shape + suffix).c_str(), [=](benchmark::State& state) {
        run_linear(state, level, false, c.m, c.k, c.n, c.activation);
      })->UseRealTime();
    }
    if (suffix.empty())
      benchmark::RegisterBenchmark(("linear/eigen_one_thread" + shape).c_str(), [=](benchmark::State& state) {
        run_eigen(state, c.m, c.k, c.n);
      })->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
