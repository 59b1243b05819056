// SPDX-License-Identifier: MIT
// Throughput of the rank-value encoding, and of what it is measured against: a sort of the same values, which
// is the least that any encoder does. Rows of 100 counts in a panel of 500 genes and of
// 4,000 in 18,000 (her2st).
//     bench/tokenize --benchmark_filter=tokenize
#include <benchmark/benchmark.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/pipeline/gene_tokenizer.hpp"

using namespace stofm;
using namespace stofm::pipeline;

namespace {

GeneMapping panel(std::int64_t genes) {
  GeneMapping m;
  for (std::int64_t g = 0; g < genes; ++g) {
    m.tokens.push_back(static_cast<std::int32_t>(g + 2));
    m.medians.push_back(1.0 + 0.001 * static_cast<double>(g * 7919 % 1000));
    m.summed_into.push_back(static_cast<std::int32_t>(g));
    m.counted.push_back(1);
  }
  m.cls_token = static_cast<std::int32_t>(genes + 2);
  return m;
}

io::CountRows block(std::int64_t cells, std::int64_t genes, std::int64_t per_cell) {
  Random random(1);
  io::CountRows rows;
  const double share = static_cast<double>(per_cell) / static_cast<double>(genes);
  for (std::int64_t c = 0; c < cells; ++c) {
    for (std::int64_t g = 0; g < genes; ++g)
      if (random.uniform() < share) {
        rows.columns.push_back(static_cast<std::int32_t>(g));
        rows.values.push_back(static_cast<double>(1 + random.below(6)));
      }
    rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
  }
  return rows;
}

void report(benchmark::State& state, const io::CountRows& rows) {
  const auto runs = static_cast<std::int64_t>(state.iterations());
  state.counters["cells/s"] =
      benchmark::Counter(static_cast<double>(runs * rows.rows()), benchmark::Counter::kIsRate);
  state.counters["counts/s"] =
      benchmark::Counter(static_cast<double>(runs * rows.offsets.back()), benchmark::Counter::kIsRate);
}

void tokenize_block(benchmark::State& state) {
  const auto genes = state.range(0), per_cell = state.range(1);
  const auto mapping = panel(genes);
  const auto rows = block(state.range(2), genes, per_cell);
  for (auto _ : state) benchmark::DoNotOptimize(tokenize(rows, mapping));
  report(state, rows);
}
BENCHMARK(tokenize_block)
    ->ArgNames({"genes", "nnz", "cells"})
    ->Args({500, 100, 2048})
    ->Args({18000, 4000, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void sort_only(benchmark::State& state) {
  const auto rows = block(state.range(2), state.range(0), state.range(1));
  const auto mapping = panel(state.range(0));
  for (auto _ : state)
    parallel_for(rows.rows(), 64, [&](std::int64_t begin, std::int64_t end) {
      std::vector<std::pair<double, std::int32_t>> row;
      for (std::int64_t r = begin; r < end; ++r) {
        row.clear();
        for (auto e = static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(r)]);
             e < static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(r) + 1]); ++e)
          row.emplace_back(-rows.values[e] / mapping.medians[static_cast<std::size_t>(rows.columns[e])],
                           rows.columns[e]);
        std::sort(row.begin(), row.end());
        benchmark::DoNotOptimize(row.data());
      }
    });
  report(state, rows);
}
BENCHMARK(sort_only)
    ->ArgNames({"genes", "nnz", "cells"})
    ->Args({500, 100, 2048})
    ->Args({18000, 4000, 64})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
