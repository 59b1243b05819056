// SPDX-License-Identifier: MIT
// Pair attention on a CUDA device at the shape of the published model: 4 layers, 8 heads of 32, sub-slices of
// 1050 nodes with about 14 % of the pairs listed. Times are of all four layers of one sub-slice, of a batch
// of `slices`. Baseline in the same binary: float32 without tensor cores; before timing, split_bf16 is
// compared with it. Counters: FLOP/s of the products that the sizes need (once, whatever the precision). Run
// on a device: bench/pair_attention_gpu_bench
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/backend/cuda/memory.hpp"
#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/core/random.hpp"
#include "stofm/kernels/pair_attention/policy.hpp"

using namespace stofm;
using namespace stofm::backend;

namespace {

constexpr std::int64_t heads = 8, width = 32, layers = 4, nodes_per_slice = 1050, columns = heads * width;
constexpr Cuda device{0};

template <class T>
Tensor<T, Cuda> on_device(const std::vector<T>& from) {
  Tensor<T, Cuda> to(Shape{static_cast<std::int64_t>(from.size())}, device);
  const auto bytes = static_cast<std::int64_t>(from.size() * sizeof(T));
  copy_rows(device, to.data(), 0, from.data(), 0, bytes, 1, CopyDirection::to_device);
  return to;
}
Tensor<float, Cuda> normal(std::int64_t count, std::uint64_t seed, double factor = 1.0) {
  std::vector<float> values(static_cast<std::size_t>(count));
  Random random(seed);
  for (float& v : values) v = static_cast<float>(factor * random.normal());
  return on_device(values);
}
Tensor<std::uint8_t, Cuda> bytes_of(std::int64_t count) {
  return Tensor<std::uint8_t, Cuda>(Shape{count}, device);
}

/// Everything of a batch on the device, packed.
struct Batch {
  PairAttentionSizes sizes;
  PairBatchPlan plan;
  std::int64_t nodes = 0;
  Tensor<std::uint8_t, Cuda> index, workspace;
  Tensor<float, Cuda> bias, grad_bias, grad_y;
  std::vector<Tensor<std::uint8_t, Cuda>> packed;
  std::vector<Tensor<float, Cuda>> y, log_sums, grads;
  PairBatch batch;

  Batch(Precision precision, std::int64_t slices)
      : sizes{heads, width, precision, 1.0 / std::sqrt(static_cast<double>(width))} {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::int32_t> listed;
    Random random(9);
    for (std::int64_t i = 0; i < nodes_per_slice; ++i) {
      for (std::int64_t j = 0; j < nodes_per_slice; ++j)
        if (i < 50 || j < 50 || random.below(nodes_per_slice) < 55)
          listed.push_back(static_cast<std::int32_t>(j));
      offsets.push_back(static_cast<std::int64_t>(listed.size()));
    }
    for (std::int64_t s = 0; s < slices; ++s) plan.add(offsets, listed);
    nodes = plan.nodes();
    std::vector<std::uint8_t> host(static_cast<std::size_t>(plan.bytes()));
    plan.write(reinterpret_cast<std::byte*>(host.data()));
    index = on_device(host);
    batch = plan.view(reinterpret_cast<const std::byte*>(index.data()));
    bias = normal(heads * plan.entries(), 1);
    grad_bias = normal(heads * plan.entries(), 1);
    grad_y = normal(nodes * columns, 2);
    workspace = bytes_of(pair_attention_backward_bytes(sizes, nodes));
    for (std::uint64_t l = 0; l < layers; ++l) {
      std::vector<PairPack> packs;
      std::vector<Tensor<float, Cuda>> from;
      for (const PairOperand operand : {PairOperand::query, PairOperand::key, PairOperand::value}) {
        from.push_back(normal(nodes * columns, 10 * l + packs.size()));
        packed.push_back(bytes_of(pair_operand_bytes(sizes, nodes)));
        packs.push_back({operand, from.back().data(), columns, packed.back().data()});
        grads.push_back(normal(nodes * columns, 3));
      }
      pair_attention_pack(current_stream(device), sizes, nodes, packs);
      synchronize(device, current_stream(device));
      y.push_back(normal(nodes * columns, 4));
      log_sums.push_back(normal(heads * nodes, 5));
    }
  }
  PairAttentionLayer layer(std::size_t l) {
    PairAttentionLayer args;
    args.batch = batch;
    args.layers = static_cast<std::int64_t>(l) + 1;
    for (std::size_t j = 0; j <= l; ++j)
      args.q[j] = packed[3 * j].data(), args.k[j] = packed[3 * j + 1].data();
    args.v = packed[3 * l + 2].data();
    args.bias = bias.data();
    return args;
  }
  void forward() {
    for (std::size_t l = 0; l < layers; ++l)
      pair_attention_forward(current_stream(device), sizes,
                             {layer(l), y[l].data(), columns, nullptr, log_sums[l].data(), nullptr, nullptr});
  }
  void backward() {
    for (std::size_t l = layers; l-- > 0;) {
      PairAttentionBackward args;
      args.layer = layer(l);
      args.y = y[l].data(), args.y_stride = columns;
      args.log_sums = log_sums[l].data();
      args.grad_y = grad_y.data(), args.grad_y_stride = columns;
      for (std::size_t j = 0; j <= l; ++j)
        args.grad_q[j] = grads[3 * j].data(), args.grad_k[j] = grads[3 * j + 1].data();
      args.grad_v = grads[3 * l + 2].data();
      args.grad_stride = columns;
      args.grad_bias = grad_bias.data();
      args.accumulate = l + 1 < layers;
      args.workspace = workspace.data();
      pair_attention_backward(current_stream(device), sizes, args);
    }
  }
  std::vector<float> last() {
    std::vector<float> host(static_cast<std::size_t>(nodes * columns));
    copy_rows(device, host.data(), 0, y.back().data(), 0, nodes * columns * 4, 1, CopyDirection::to_host);
    synchronize(device, current_stream(device));
    return host;
  }
};

void check() {
  Batch reference(Precision::float32, 1), split(Precision::split_bf16, 1);
  reference.forward();
  split.forward();
  const auto a = reference.last(), b = split.last();
  float worst = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
    size = std::max(size, std::abs(a[i]));
  }
  if (!(worst <= 1e-3F * size)) {
    std::fprintf(stderr, "split_bf16 differs from float32 by %g of %g\n", static_cast<double>(worst),
                 static_cast<double>(size));
    std::exit(1);
  }
}

void run(benchmark::State& state, Precision precision, bool backward) {
  const std::int64_t slices = state.range(0);
  Batch batch(precision, slices);
  batch.forward();
  synchronize(device, current_stream(device));
  constexpr int repeats = 10;  // queued at once, so that launches hide behind kernels
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) backward ? batch.backward() : batch.forward();
    synchronize(device, current_stream(device));
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
                           repeats);
  }
  double flop = 0;
  for (int l = 1; l <= layers; ++l)
    flop += backward ? kernels::pair_backward_flop(nodes_per_slice, heads, width, l)
                     : kernels::pair_forward_flop(nodes_per_slice, heads, width, l);
  state.counters["FLOP/s"] =
      benchmark::Counter(flop * static_cast<double>(slices), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["slices/s"] =
      benchmark::Counter(static_cast<double>(slices), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char** argv) {
  if (cuda_device_count() == 0) {
    std::puts("skipped: no CUDA device");
    return 77;
  }
  check();
  for (const bool backward : {false, true})
    for (const auto& [name, precision] : {std::pair{"float32", Precision::float32},
                                          {"split_bf16", Precision::split_bf16},
                                          {"bf16", Precision::bf16}})
      benchmark::RegisterBenchmark(
          (std::string("pair_attention/") + (backward ? "backward/" : "forward/") + name +
           "/N:1050/C:256/H:8/L:4")
              .c_str(),
          [precision = precision, backward](benchmark::State& s) { run(s, precision, backward); })
          ->ArgName("slices")
          ->Arg(1)
          ->Arg(8)
          ->Arg(32)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
