// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Checks and launches of the distance bias: the definitions of backend/cuda/gaussian_bias.hpp.

#include "stofm/core/error.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/gaussian_bias/distance_entries.cuh"
#include "stofm/kernels/gaussian_bias/gaussian_bias_backward.cuh"
#include "stofm/kernels/gaussian_bias/gaussian_bias_forward.cuh"

namespace stofm::kernels {

/// Calls run.operator()<Units>(). \throws UsageError STOFM-6052 without such a kernel.
template <class Run>
void with_gaussian_kernel(std::int64_t gaussians, std::int64_t heads, const Run& run) {
  const int units = gaussian_padded_units(gaussians);
  if (units == 0 || heads < 1 || heads > backend::max_gaussian_heads)
    throw UsageError({"STOFM-6052", "", "[gaussian_bias]",
                      concat(gaussians, " Gaussians for ", heads, " heads"),
                      concat("1 to ", backend::max_gaussians, " for 1 to ", backend::max_gaussian_heads),
                      "Use --device cpu for this model."});
  if (units == 32) return run.template operator()<32>();
  return run.template operator()<128>();
}

inline void launch_gaussian_forward(CudaStream stream, const backend::GaussianWeights& weights,
                                    const float* distances, std::int64_t count, float* phi) {
  with_gaussian_kernel(weights.gaussians, weights.heads, [&]<int Units>() {
    using Policy = GaussianPolicy<Units>;
    static_assert(sizeof(GaussianTile<Units>) <= Policy::shared_limit);
    constexpr std::int64_t most = 4 * Policy::most_blocks;  // two waves or more of large devices
    launch(gaussian_bias_forward_kernel<Units>,
           {.grid = dim3(blocks(minimum(most, gaussian_tiles(count)))),
            .block = dim3(Policy::threads),
            .shared_bytes = sizeof(GaussianTile<Units>),
            .stream = stream,
            .name = "gaussian_bias_forward"},
           {weights, distances, count, phi});
  });
}

inline std::int64_t gaussian_backward_bytes(std::int64_t gaussians, std::int64_t heads, std::int64_t count) {
  return gaussian_backward_blocks(count) * gaussian_partial(gaussians, heads).size *
         std::int64_t{sizeof(float)};
}

inline void launch_gaussian_backward(CudaStream stream, const backend::GaussianWeights& weights,
                                     const float* distances, std::int64_t count, const float* grad_phi,
                                     const backend::GaussianWeightGradients& into, void* workspace) {
  auto* partials = static_cast<float*>(workspace);
  const std::int64_t parts = gaussian_backward_blocks(count);
  const GaussianPartial at = gaussian_partial(weights.gaussians, weights.heads);
  with_gaussian_kernel(weights.gaussians, weights.heads, [&]<int Units>() {
    using Policy = GaussianPolicy<Units>;
    static_assert(sizeof(GaussianBackwardShared<Units>) <= Policy::shared_limit);
    launch(gaussian_bias_backward_kernel<Units>,
           {.grid = dim3(blocks(parts)),
            .block = dim3(Policy::threads),
            .shared_bytes = sizeof(GaussianBackwardShared<Units>),
            .stream = stream,
            .name = "gaussian_bias_backward"},
           {weights, distances, count, grad_phi, partials, at});
  });
  if (parts == 0) return;
  launch(gaussian_reduce_kernel,
         {.grid = dim3(blocks(at.size, 128)),
          .block = dim3(128),
          .stream = stream,
          .name = "gaussian_bias_reduce"},
         {into, parts, partials, at});
}

inline void launch_distance_values(CudaStream stream, const backend::DistanceEntries& entries,
                                   std::int64_t heads, const float* phi, float* values, float* background) {
  // One block at least: it writes the background.
  launch(distance_values_kernel,
         {.grid = dim3(maximum(1U, blocks(entries.entries, distance_threads))),
          .block = dim3(distance_threads),
          .stream = stream,
          .name = "distance_values"},
         {entries, heads, phi, values, background});
}

inline void launch_distance_gradient(CudaStream stream, const backend::DistanceEntries& entries,
                                     std::int64_t heads, const float* grad_values,
                                     const float* grad_background, float* grad_phi, void* workspace) {
  const DistanceGradientParams params{entries,         heads,    grad_values,
                                      grad_background, grad_phi, static_cast<double*>(workspace)};
  const auto columns = static_cast<unsigned>(heads);
  launch(distance_gradient_kernel,
         {.grid = dim3(blocks(entries.count - 1, distance_threads / warp_size), columns),
          .block = dim3(distance_threads),
          .stream = stream,
          .name = "distance_gradient"},
         params);
  launch(distance_far_parts_kernel,
         {.grid = dim3(far_sum_parts, columns),
          .block = dim3(distance_threads),
          .shared_bytes = sizeof(double) * distance_threads / warp_size,
          .stream = stream,
          .name = "distance_far"},
         params);
  launch(distance_far_kernel,
         {.grid = dim3(blocks(heads, distance_threads)),
          .block = dim3(distance_threads),
          .stream = stream,
          .name = "distance_far"},
         params);
}

}  // namespace stofm::kernels
