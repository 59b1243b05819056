// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Offsets from counts: each of many counts becomes the sum of those before it, the sum of all goes behind
/// them. Three launches, whatever the count; sums of integers, so in any order the same. Limiter: bytes, 24 a
/// count.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/shared.cuh"
#include "stofm/kernels/sub_slices/policy.hpp"

namespace stofm::kernels::sub_slices {

struct SumParams {
  std::int64_t* values;      // [count + 1]; in: counts, out: sums of those before
  std::int64_t* block_sums;  // [blocks]
  std::int64_t count;
};
struct SumStorage {
  std::int64_t threads[sum_threads];
};
/// Sum of this thread's value and those of the threads before it.
__device__ __forceinline__ std::int64_t sum_up_to_thread(std::int64_t value, SumStorage& shared) {
  const int thread = static_cast<int>(threadIdx.x);
  block_sync();
  shared.threads[thread] = value;
  block_sync();
  for (int step = 1; step < sum_threads; step *= 2) {
    const std::int64_t other = thread >= step ? shared.threads[thread - step] : 0;
    block_sync();
    shared.threads[thread] += other;
    block_sync();
  }
  return shared.threads[thread];
}

/// Grid: 4,096 values a block.
template <class Storage>
static __global__ void sum_blocks(const SumParams p) {
  auto& shared = shared_memory<Storage>();
  const std::int64_t begin =
      std::int64_t(blockIdx.x) * values_per_block + std::int64_t(threadIdx.x) * values_per_thread;
  std::int64_t sum = 0;
  for (std::int64_t i = begin; i < minimum(begin + values_per_thread, p.count); ++i) sum += p.values[i];
  sum = sum_up_to_thread(sum, shared);
  if (threadIdx.x == sum_threads - 1) p.block_sums[blockIdx.x] = sum;
}
/// One block: sums of blocks become sums of the blocks before; the total goes behind the values.
template <class Storage>
static __global__ void sum_block_sums(const SumParams p) {
  auto& shared = shared_memory<Storage>();
  const std::int64_t blocks = ceil_div(p.count, values_per_block), run = ceil_div(blocks, sum_threads);
  const std::int64_t begin = minimum(std::int64_t(threadIdx.x) * run, blocks),
                     end = minimum(begin + run, blocks);
  std::int64_t sum = 0;
  for (std::int64_t b = begin; b < end; ++b) sum += p.block_sums[b];
  const std::int64_t upto = sum_up_to_thread(sum, shared);
  std::int64_t before = upto - sum;
  for (std::int64_t b = begin; b < end; ++b) {
    const std::int64_t here = p.block_sums[b];
    p.block_sums[b] = before;
    before += here;
  }
  if (threadIdx.x == sum_threads - 1) p.values[p.count] = upto;
}
/// Grid: as sum_blocks.
template <class Storage>
static __global__ void place_sums(const SumParams p) {
  auto& shared = shared_memory<Storage>();
  const std::int64_t begin =
      std::int64_t(blockIdx.x) * values_per_block + std::int64_t(threadIdx.x) * values_per_thread;
  const std::int64_t end = minimum(begin + values_per_thread, p.count);
  std::int64_t sum = 0;
  for (std::int64_t i = begin; i < end; ++i) sum += p.values[i];
  std::int64_t before = p.block_sums[blockIdx.x] + sum_up_to_thread(sum, shared) - sum;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t here = p.values[i];
    p.values[i] = before;
    before += here;
  }
}

/// Queues all three. `values`: [count + 1]; `block_sums`: [ceil(count / values_per_block)].
inline void launch_sums(std::int64_t* values, std::int64_t* block_sums, std::int64_t count,
                        CudaStream stream) {
  const SumParams params{values, block_sums, count};
  LaunchConfig config{.grid = {blocks(count, values_per_block)},
                      .block = {sum_threads},
                      .shared_bytes = sizeof(SumStorage),
                      .stream = stream,
                      .name = "sum_rows"};
  LaunchConfig one = config;
  one.grid = {1};
  launch(sum_blocks<SumStorage>, config, params);
  launch(sum_block_sums<SumStorage>, one, params);
  launch(place_sums<SumStorage>, config, params);
}

}  // namespace stofm::kernels::sub_slices
