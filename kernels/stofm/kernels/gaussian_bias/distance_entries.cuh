// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Between distinct distances and listed pairs: values of entries from Phi, and the way back as a segmented
/// sum over the entries sorted by distance. Limited by memory traffic (one gather each way). *Deterministic*:
/// one writer per output, sums in a fixed order, in double.

#include "stofm/backend/cuda/gaussian_bias.hpp"
#include "stofm/kernels/common/block.cuh"

namespace stofm::kernels {

inline constexpr int distance_threads = 128, far_sum_parts = 64;

struct DistanceValuesParams {
  backend::DistanceEntries entries;
  std::int64_t heads;
  const float* phi;   ///< [count, heads]
  float* values;      ///< [heads, entries]
  float* background;  ///< [heads]
};

/// A thread per entry; the heads of a distance are neighbours in phi, the entries of a head in values.
[[maybe_unused]] static __global__ void distance_values_kernel(DistanceValuesParams params) {
  const std::int64_t e = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const float* far = params.phi + (params.entries.count - 1) * params.heads;
  if (blockIdx.x == 0)
    for (std::int64_t h = threadIdx.x; h < params.heads; h += blockDim.x) params.background[h] = far[h];
  if (e >= params.entries.entries) return;
  const std::int32_t* const distance_of = params.entries.distance_of;
  const float* phi = params.phi + (distance_of != nullptr ? distance_of[e] : e) * params.heads;
  for (std::int64_t h = 0; h < params.heads; ++h)
    params.values[h * params.entries.entries + e] = phi[h] - far[h];
}

struct DistanceGradientParams {
  backend::DistanceEntries entries;
  std::int64_t heads;
  const float* grad_values;      ///< [heads, entries]
  const float* grad_background;  ///< [heads] or null
  float* grad_phi;               ///< [count, heads]
  double* far_sums;              ///< [far_sum_parts, heads]
};

/// Block (distances, head): a warp per distance, lanes over its entries.
[[maybe_unused]] static __global__ void distance_gradient_kernel(DistanceGradientParams params) {
  const std::int64_t d = std::int64_t(blockIdx.x) * (distance_threads / warp_size) + warp();
  const std::int64_t h = blockIdx.y;
  if (d >= params.entries.count - 1) return;
  const float* grad = params.grad_values + h * params.entries.entries;
  double sum = 0;
  for (std::int64_t i = params.entries.offsets[d] + lane(); i < params.entries.offsets[d + 1]; i += warp_size)
    sum += static_cast<double>(grad[params.entries.order[i]]);
  sum = warp_sum(sum);
  if (lane() == 0) params.grad_phi[d * params.heads + h] = static_cast<float>(sum);
}

/// Block (part, head): the sum of grad_phi over a part of the distances.
[[maybe_unused]] static __global__ void distance_far_parts_kernel(DistanceGradientParams params) {
  struct Storage {
    double warps[distance_threads / warp_size];
  };
  auto& shared = shared_memory<Storage>();
  const std::int64_t count = params.entries.count - 1, part = ceil_div(count, far_sum_parts),
                     begin = part * blockIdx.x, end = minimum(count, begin + part), h = blockIdx.y;
  double sum = 0;
  for (std::int64_t d = begin + threadIdx.x; d < end; d += distance_threads)
    sum += static_cast<double>(params.grad_phi[d * params.heads + h]);
  sum = block_sum(sum, shared.warps);
  if (threadIdx.x == 0) params.far_sums[std::int64_t(blockIdx.x) * params.heads + h] = sum;
}

/// The far distance: grad_background minus all sums; a thread per head.
[[maybe_unused]] static __global__ void distance_far_kernel(DistanceGradientParams params) {
  const std::int64_t h = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (h >= params.heads) return;
  double sum = 0;
  for (std::int64_t part = 0; part < far_sum_parts; ++part) sum += params.far_sums[part * params.heads + h];
  const double own = params.grad_background != nullptr ? static_cast<double>(params.grad_background[h]) : 0.0;
  params.grad_phi[(params.entries.count - 1) * params.heads + h] = static_cast<float>(own - sum);
}

}  // namespace stofm::kernels
