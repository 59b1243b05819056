// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Greedy k-means++ on a sample (cluster/kmeans_start.hpp), two kernels a centre, without the host:
///   try_candidates   for each point of the sample and each of T candidates: min(nearest so far, |x - c|^2);
///   choose_centre    the candidate with the least sum becomes a centre; running sums of the distances to the
///                    centres so far; the next T candidates, drawn by numbers that the host drew beforehand.
/// Sums have the bits of the CPU's, which adds doubles in order. Floats whose total is below 2^28 times the
/// least of them that is not 0 add up to the same double in any order, because every partial sum is exact;
/// these are added in parallel, others by one thread. Limiter: latency; two launches a centre.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/kmeans/policy.hpp"
#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels::kmeans {

struct StartState {
  std::int64_t made = 0;        ///< centres so far
  std::int64_t candidates = 0;  ///< of the next one
  std::int32_t finished = 0;    ///< every point of the sample is a centre
};

struct StartParams {
  const float* sample;       // [s, d]
  float* nearest;            // [s] squared distance to the centres so far; infinity at first
  float* tried;              // [trials, s]
  double* cumulative;        // [s]
  const double* uniforms;    // [k - 1, trials]
  std::int64_t* candidates;  // [trials] points of the sample
  float* centres;            // [k, d]
  StartState* state;
  std::int64_t s, d, k, trials;
};

inline constexpr int try_threads = 128;
struct TryStorage {
  float points[try_threads][warp_size + 1];
  float candidates[most_trials][warp_size];
};

/// Grid: a thread per point of the sample, 128 a block. Shared: TryStorage, 18 KiB.
template <class Storage>
static __global__ void try_candidates(const StartParams p) {
  auto& shared = shared_memory<Storage>();
  if (p.state->finished != 0) return;
  const auto count = static_cast<int>(p.state->candidates);
  const std::int64_t first = std::int64_t(blockIdx.x) * try_threads;
  const int thread = static_cast<int>(threadIdx.x);
  float sum[most_trials];
#pragma unroll
  for (int t = 0; t < most_trials; ++t) sum[t] = 0;
  for (std::int64_t column = 0; column < p.d; column += warp_size) {
    const std::int64_t j = column + lane();
    for (int r = warp(); r < try_threads; r += try_threads / warp_size) {
      const std::int64_t point = minimum(first + r, p.s - 1);
      shared.points[r][lane()] = j < p.d ? p.sample[point * p.d + j] : 0.0F;
    }
    for (int t = warp(); t < count; t += try_threads / warp_size)
      shared.candidates[t][lane()] = j < p.d ? p.sample[p.candidates[t] * p.d + j] : 0.0F;
    block_sync();
    for (int e = 0; e < warp_size; ++e) {
      const float x = shared.points[thread][e];
#pragma unroll
      for (int t = 0; t < most_trials; ++t)
        if (t < count) sum[t] = add_squared_difference(sum[t], x, shared.candidates[t][e]);
    }
    block_sync();
  }
  const std::int64_t point = first + thread;
  if (point >= p.s) return;
  const float nearest = p.nearest[point];
#pragma unroll
  for (int t = 0; t < most_trials; ++t)
    if (t < count) p.tried[t * p.s + point] = minimum(nearest, sum[t]);
}

inline constexpr int choose_threads = 256;
struct ChooseStorage {
  double warp_values[choose_threads / warp_size];
  double run_sums[choose_threads];
  double in_order;
  int best;
};

/// Sum of non-negative floats with the bits of a loop in order. All threads of the block; -> the same in
/// each. `cumulative`, if not null, gets the running sums.
__device__ __forceinline__ double sum_in_order(const float* values, std::int64_t count, double* cumulative,
                                               ChooseStorage& shared) {
  const std::int64_t run = ceil_div(count, choose_threads);
  const std::int64_t begin = minimum(std::int64_t(threadIdx.x) * run, count),
                     end = minimum(begin + run, count);
  double sum = 0, least = 1e300;
  for (std::int64_t i = begin; i < end; ++i) {
    const auto x = static_cast<double>(values[i]);
    sum += x;
    if (x > 0) least = minimum(least, x);
  }
  const double total = block_sum(sum, shared.warp_values);
  least = -block_max(-least, shared.warp_values);
  if (total < least * 0x1p28) {  // every partial sum is exact, so is total
    if (cumulative == nullptr) return total;
    block_sync();
    shared.run_sums[threadIdx.x] = sum;
    block_sync();
    for (int step = 1; step < choose_threads; step *= 2) {
      const int thread = static_cast<int>(threadIdx.x);
      const double other = thread >= step ? shared.run_sums[thread - step] : 0.0;
      block_sync();
      shared.run_sums[thread] += other;
      block_sync();
    }
    double before = shared.run_sums[threadIdx.x] - sum;
    for (std::int64_t i = begin; i < end; ++i) cumulative[i] = before += static_cast<double>(values[i]);
    return total;
  }
  block_sync();
  if (threadIdx.x == 0) {
    double ordered = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      ordered += static_cast<double>(values[i]);
      if (cumulative != nullptr) cumulative[i] = ordered;
    }
    shared.in_order = ordered;
  }
  block_sync();
  return shared.in_order;
}

/// Grid: one block of 256 threads. Shared: ChooseStorage.
template <class Storage>
static __global__ void choose_centre(const StartParams p) {
  auto& shared = shared_memory<Storage>();
  if (p.state->finished != 0) return;
  const std::int64_t made = p.state->made, count = p.state->candidates;

  // ---- the best candidate ----
  int best = 0;
  auto best_sum = static_cast<double>(float_of(0x7f800000U));
  for (int t = 0; t < count; ++t) {
    const double sum = sum_in_order(p.tried + t * p.s, p.s, nullptr, shared);
    if (sum < best_sum) {
      best_sum = sum;
      best = t;
    }
  }
  for (std::int64_t i = threadIdx.x; i < p.s; i += choose_threads) p.nearest[i] = p.tried[best * p.s + i];
  const std::int64_t chosen = p.candidates[best];
  for (std::int64_t j = threadIdx.x; j < p.d; j += choose_threads)
    p.centres[made * p.d + j] = p.sample[chosen * p.d + j];
  block_sync();  // nearest is complete, candidates are read

  // ---- candidates of the next one ----
  std::int32_t finished = made + 1 == p.k ? 1 : 0;
  if (finished == 0) {
    const double sum = sum_in_order(p.nearest, p.s, p.cumulative, shared);
    block_sync();  // the running sums are there for everybody
    finished = sum > 0 ? 0 : 1;
    if (finished == 0 && threadIdx.x < p.trials) {
      const double target =
          rounded_multiply(p.uniforms[made * p.trials + threadIdx.x], p.cumulative[p.s - 1]);
      std::int64_t low = 0, high = p.s;  // the first running sum above target is in [low, high]
      while (low < high) {
        const std::int64_t middle = (low + high) / 2;
        if (p.cumulative[middle] > target)
          high = middle;
        else
          low = middle + 1;
      }
      p.candidates[threadIdx.x] = minimum(low, p.s - 1);
    }
  }
  block_sync();
  if (threadIdx.x == 0) *p.state = {made + 1, p.trials, finished};
}

}  // namespace stofm::kernels::kmeans
