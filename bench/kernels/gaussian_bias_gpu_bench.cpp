// SPDX-License-Identifier: MIT
// The distance bias on a CUDA device at the published sizes: 128 Gaussians, 8 heads, the 79,000 distinct
// distances of a sub-slice of 1050 nodes. Counters: FLOP/s of the network's products, distances/s. The CPU's
// rule is measured in bench/train_step_bench. Before timing, repeated runs are compared bit by bit. Run on a
// device: bench/gaussian_bias_gpu_bench
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/backend/cuda/gaussian_bias.hpp"
#include "stofm/backend/cuda/memory.hpp"
#include "stofm/core/random.hpp"

using namespace stofm;
using namespace stofm::backend;

namespace {

constexpr std::int64_t gaussians = 128, heads = 8;
constexpr Cuda device{0};

Tensor<float, Cuda> uniform(std::int64_t count, std::uint64_t seed, double low, double high) {
  std::vector<float> values(static_cast<std::size_t>(count));
  Random random(seed);
  for (float& v : values) v = static_cast<float>(low + (high - low) * random.uniform());
  Tensor<float, Cuda> to(Shape{count}, device);
  copy_rows(device, to.data(), 0, values.data(), 0, count * 4, 1, CopyDirection::to_device);
  synchronize(device, current_stream(device));
  return to;
}

struct Network {
  Tensor<float, Cuda> w = uniform(1, 1, 1, 1), b = uniform(1, 2, 0, 0), means = uniform(gaussians, 3, 0, 3),
                      stds = uniform(gaussians, 4, 0.02, 3),
                      w1 = uniform(gaussians * gaussians, 5, -0.1, 0.1),
                      b1 = uniform(gaussians, 6, -0.1, 0.1), w2 = uniform(heads * gaussians, 7, -0.1, 0.1),
                      b2 = uniform(heads, 8, -0.1, 0.1);
};

void run(benchmark::State& state, bool backward) {
  const std::int64_t count = state.range(0);
  Network n, grad;
  const GaussianWeights weights{gaussians,     heads,       n.w.data(),  n.b.data(),  n.means.data(),
                                n.stds.data(), n.w1.data(), n.b1.data(), n.w2.data(), n.b2.data()};
  const GaussianWeightGradients into{grad.w.data(),  grad.b.data(),  grad.means.data(), grad.stds.data(),
                                     grad.w1.data(), grad.b1.data(), grad.w2.data(),    grad.b2.data()};
  const auto distances = uniform(count, 9, 0, 30);
  auto phi = uniform(count * heads, 10, 0, 1);
  const auto grad_phi = uniform(count * heads, 11, -1, 1);
  Tensor<std::uint8_t, Cuda> workspace(Shape{gaussian_bias_backward_bytes(gaussians, heads, count)}, device);
  const CudaStream stream = current_stream(device);
  const auto once = [&] {
    if (backward)
      gaussian_bias_backward(stream, weights, distances.data(), count, grad_phi.data(), into,
                             workspace.data());
    else
      gaussian_bias_forward(stream, weights, distances.data(), count, phi.data());
  };
  const auto result = [&] {
    std::vector<float> host(static_cast<std::size_t>(count * heads));
    copy_rows(device, host.data(), 0, phi.data(), 0, count * heads * 4, 1, CopyDirection::to_host);
    synchronize(device, stream);
    return host;
  };
  once();
  const auto first = result();
  once();
  if (result() != first) {
    std::fputs("two runs differ\n", stderr);
    std::exit(1);
  }
  constexpr int repeats = 10;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) once();
    synchronize(device, stream);
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
                           repeats);
  }
  const double products = static_cast<double>(count) * gaussians * (gaussians + heads) * (backward ? 6 : 2);
  state.counters["FLOP/s"] = benchmark::Counter(products, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["distances/s"] =
      benchmark::Counter(static_cast<double>(count), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  if (cuda_device_count() == 0) {
    std::puts("skipped: no CUDA device");
    return 77;
  }
  for (const bool backward : {false, true})
    benchmark::RegisterBenchmark(
        backward ? "gaussian_bias/backward/float32/K:128/H:8" : "gaussian_bias/forward/float32/K:128/H:8",
        [backward](benchmark::State& s) { run(s, backward); })
        ->ArgName("distances")
        ->Arg(79000)
        ->Arg(16 * 79000)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
