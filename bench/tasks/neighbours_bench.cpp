// SPDX-License-Identifier: MIT
// Exact neighbours of an embedding of 192 numbers. Baseline: the same float products without a bound, a
// partial sort of each row of them.
#include <benchmark/benchmark.h>

#include <map>
#include <utility>

#include "stofm/core/random.hpp"
#include "stofm/tasks/neighbours.hpp"

using namespace stofm;

namespace {
/// Rows with a spectrum like that of an embedding: variance of direction l falls as exp(-l / 15), rotated by
/// mixing; 30 groups.
const Tensor<float>& embedding(std::int64_t n, std::int64_t width) {
  static std::map<std::pair<std::int64_t, std::int64_t>, Tensor<float>> made;
  const auto key = std::pair(n, width);
  if (const auto found = made.find(key); found != made.end()) return found->second;
  Random random(1);
  constexpr std::int64_t latent = 60, groups = 30;
  std::vector<float> mixing(static_cast<std::size_t>(latent * width)), places(groups * latent);
  for (float& m : mixing) m = static_cast<float>(random.normal());
  for (float& p : places) p = 2 * static_cast<float>(random.normal());
  Tensor<float> rows = Tensor<float>::zeros({n, width});
  for (std::int64_t i = 0; i < n; ++i) {
    const auto group = static_cast<std::int64_t>(random.below(groups));
    for (std::int64_t l = 0; l < latent; ++l) {
      const float value =
          std::exp(-static_cast<float>(l) / 30) *
          (places[static_cast<std::size_t>(group * latent + l)] + static_cast<float>(random.normal()));
      for (std::int64_t j = 0; j < width; ++j)
        rows.data()[i * width + j] += value * mixing[static_cast<std::size_t>(l * width + j)];
    }
    for (std::int64_t j = 0; j < width; ++j)
      rows.data()[i * width + j] += 0.3F * static_cast<float>(random.normal());
  }
  return made.emplace(key, rows).first->second;
}

void bounded(benchmark::State& state) {
  const auto& rows = embedding(state.range(0), 192);
  for (auto _ : state) {
    const auto found = tasks::nearest_neighbours(rows.view(), 15);
    benchmark::DoNotOptimize(found.indices.data());
  }
}
BENCHMARK(bounded)
    ->Name("tasks/nearest_neighbours/C:192/k:15/N")
    ->Arg(10000)
    ->Arg(30000)
    ->Arg(100000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->UseRealTime();

void all_products(benchmark::State& state) {
  const auto& rows = embedding(state.range(0), 192);
  const std::int64_t n = rows.dim(0);
  const ops::PackedLinear<float> packed(rows);
  std::vector<float> squares(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i)
    squares[static_cast<std::size_t>(i)] =
        static_cast<float>(tasks::detail::dot_product(rows.data() + i * 192, rows.data() + i * 192, 192));
  for (auto _ : state)
    parallel_for(n, 64, [&](std::int64_t begin, std::int64_t end) {
      Tensor<float> products({end - begin, n});
      packed.apply_into(products.view(), rows.slice(0, begin, end).view());
      std::vector<std::pair<float, std::int32_t>> all(static_cast<std::size_t>(n));
      for (std::int64_t i = 0; i < end - begin; ++i) {
        for (std::int64_t j = 0; j < n; ++j)
          all[static_cast<std::size_t>(j)] = {
              squares[static_cast<std::size_t>(j)] - 2 * products.data()[i * n + j],
              static_cast<std::int32_t>(j)};
        std::partial_sort(all.begin(), all.begin() + 16, all.end());
        benchmark::DoNotOptimize(all.data());
      }
    });
}
BENCHMARK(all_products)
    ->Name("tasks/nearest_neighbours/all_products/C:192/k:15/N")
    ->Arg(10000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->UseRealTime();
}  // namespace

BENCHMARK_MAIN();
