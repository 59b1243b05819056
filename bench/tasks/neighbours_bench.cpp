// SPDX-License-Identifier: MIT
// Exact neighbours of an embedding of 192 numbers. Baseline: the same float products without a bound, a
// partial sort of each row of them.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <utility>

#include "bench/support/embeddings.hpp"
#include "stofm/tasks/neighbours.hpp"

using namespace stofm;

namespace {
void bounded(benchmark::State& state) {
  const auto& rows = bench::embedding(state.range(0), 192);
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
  const auto& rows = bench::embedding(state.range(0), 192);
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
