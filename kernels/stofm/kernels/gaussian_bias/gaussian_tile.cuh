// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What forward and backward of the Gaussian bias share: the parameters in shared memory, psi of 64 distances
/// and the hidden units relu(W1 psi + b1) of them, float32 throughout.

#include "stofm/backend/cuda/gaussian_bias.hpp"
#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/shared.cuh"
#include "stofm/kernels/common/tile_product.cuh"
#include "stofm/kernels/gaussian_bias/policy.hpp"

namespace stofm::kernels {

inline constexpr float sqrt_two_pi = 2.50662827463100050242F;

/// Shared memory of both directions.
template <int Units>
struct GaussianTile {
  using Policy = GaussianPolicy<Units>;
  static constexpr int stride = Policy::stride, hidden_stride = Policy::hidden_stride;
  float psi[Policy::points * stride];            // [64, Units]
  float w1[Policy::hidden * stride];             // [hidden, Units], zeros past K
  float hidden[Policy::points * hidden_stride];  // [64, hidden]
  float mean[Units], inverse_width[Units], peak[Units];
  float b1[Policy::hidden];
  float distance[Policy::points], argument[Policy::points];

  /// Once per block; a barrier must follow.
  __device__ void load_parameters(const backend::GaussianWeights& weights) {
    const auto k = static_cast<int>(weights.gaussians);
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < Policy::hidden * Units; i += Policy::threads) {
      const int row = i / Units, column = i % Units;
      w1[row * stride + column] = row < k && column < k ? weights.w1[std::int64_t(row) * k + column] : 0.0F;
    }
    for (int i = thread; i < Units; i += Policy::threads) {
      // Past K a Gaussian of height 0.
      const float width = i < k ? fabsf(weights.stds[i]) + 1e-5F : 1.0F;
      mean[i] = i < k ? weights.means[i] : 0.0F;
      inverse_width[i] = 1.0F / width;
      peak[i] = i < k ? 1.0F / (sqrt_two_pi * width) : 0.0F;
    }
    for (int i = thread; i < Policy::hidden; i += Policy::threads) b1[i] = i < k ? weights.b1[i] : 0.0F;
  }

  /// distance, argument, psi and hidden of points [first, first + 64); those past `count` as distance 0.
  /// Three barriers, the last one at the end.
  __device__ void compute(const backend::GaussianWeights& weights, const float* distances, std::int64_t first,
                          std::int64_t count) {
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < Policy::points) {
      const float d = first + thread < count ? distances[first + thread] : 0.0F;
      distance[thread] = d;
      // Two roundings, as the reference: a fused sum would show with narrow Gaussians.
      argument[thread] = __fadd_rn(__fmul_rn(*weights.w, d), *weights.b);
    }
    block_sync();
    for (int i = thread; i < Policy::points * Units; i += Policy::threads) {
      const int p = i / Units, k = i % Units;
      const float u = (argument[p] - mean[k]) * inverse_width[k];
      psi[p * stride + k] = expf(-0.5F * u * u) * peak[k];
    }
    block_sync();
    // Warp w: points 16 (w % 4) .., hidden units 64 (w / 4) ...
    const int rows = warp() % 4 * 16, tile = warp() / 4;
    if (tile < Policy::row_tiles) {
      float sums[8][4] = {};
      add_rows_by_rows<backend::Precision::float32, Units>(sums, psi + rows * stride,
                                                           w1 + tile * 64 * stride);
      STOFM_UNROLL
      for (int n = 0; n < 8; ++n) STOFM_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int unit = tile * 64 + n * 8 + accumulator_column(i);
        const float z = sums[n][i] + b1[unit];
        hidden[(rows + accumulator_row(i)) * hidden_stride + unit] = z <= 0.0F ? 0.0F : z;  // NaN stays
      }
    }
    block_sync();
  }
};

}  // namespace stofm::kernels
