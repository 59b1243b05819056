// SPDX-License-Identifier: MIT
// Mini-batch k-means on the sizes that peers publish for (scikit-learn's MiniBatchKMeans, batch 1024,
// n_init 1), and PCA2. Baseline of k-means: full steps only (Lloyd) from the same start.
#include <benchmark/benchmark.h>

#include "bench/support/blobs.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/cluster/pca.hpp"

using namespace stofm;

namespace {
void kmeans(benchmark::State& state) {
  const auto rows = bench::blobs(state.range(0), state.range(1), 10);
  cluster::MiniBatchKMeansResult found;
  for (auto _ : state) found = cluster::mini_batch_kmeans(rows.view(), {.clusters = state.range(2)});
  state.counters["inertia"] = found.inertia;
  state.counters["batches"] = static_cast<double>(found.batches);
}
BENCHMARK(kmeans)
    ->Name("cluster/mini_batch_kmeans/N,C,K")
    ->Args({20000, 2, 50})
    ->Args({20000, 2, 100})
    ->Args({100000, 2, 50})
    ->Args({100000, 256, 64})
    ->Args({100000, 256, 512})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void lloyd(benchmark::State& state) {
  const auto rows = bench::blobs(state.range(0), state.range(1), 10);
  double inertia = 0;
  for (auto _ : state) {
    Random random(0);
    auto centres = cluster::kmeans_start(rows.view(), state.range(2), 3072, random);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(rows.dim(0)));
    std::vector<float> distances(labels.size());
    for (int step = 0; step < 25; ++step) {
      cluster::nearest_centres(rows.view(), cluster::PackedPoints(centres.view()), labels, distances);
      cluster::detail::centres_to_means(rows.view(), labels, centres);
    }
    inertia = 0;
    for (const float d : distances) inertia += static_cast<double>(d);
  }
  state.counters["inertia"] = inertia;
}
BENCHMARK(lloyd)
    ->Name("cluster/lloyd_25/N,C,K")
    ->Args({20000, 2, 50})
    ->Args({100000, 2, 50})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void pca(benchmark::State& state) {
  const auto rows = bench::blobs(state.range(0), state.range(1), 10);
  for (auto _ : state) benchmark::DoNotOptimize(cluster::pca2(rows.view()).variances[0]);
}
BENCHMARK(pca)
    ->Name("cluster/pca2/N,C")
    ->Args({20000, 256})
    ->Args({6471, 32})
    ->Args({100000, 256})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
}  // namespace

BENCHMARK_MAIN();
