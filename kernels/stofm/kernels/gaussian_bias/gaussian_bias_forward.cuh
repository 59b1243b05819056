// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Phi(d) = W2 relu(W1 psi(w d + b) + b1) + b2, Phi(0) = 0, for many distances.
/// Block: 8 warps; W1 in shared memory for all of its tiles of 64 distances (tile = blockIdx.x, + gridDim.x,
/// ...). Products: float32 FMA in the accumulator layout of common/tile_product.cuh. Shared memory:
/// GaussianTile (135 KB for 128 Gaussians). *Deterministic*: one writer per output. Limiter: FMA and shared
/// memory reads.

#include "stofm/backend/cuda/gaussian_bias.hpp"
#include "stofm/kernels/common/block.cuh"
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

struct GaussianForwardParams {
  backend::GaussianWeights weights;
  const float* distances;  ///< [count]
  std::int64_t count;
  float* phi;  ///< [count, heads]
};

template <int Units>
static __global__ void __launch_bounds__(GaussianPolicy<Units>::threads)
    gaussian_bias_forward_kernel(GaussianForwardParams params) {
  using Policy = GaussianPolicy<Units>;
  auto& tile = shared_memory<GaussianTile<Units>>();
  const backend::GaussianWeights& weights = params.weights;
  const int heads = static_cast<int>(weights.heads), gaussians = static_cast<int>(weights.gaussians);
  tile.load_parameters(weights);
  for (std::int64_t first = std::int64_t(blockIdx.x) * Policy::points; first < params.count;
       first += std::int64_t(gridDim.x) * Policy::points) {
    block_sync();  // parameters; the hidden units of the tile before
    tile.compute(weights, params.distances, first, params.count);
    for (int i = static_cast<int>(threadIdx.x); i < Policy::points * heads; i += Policy::threads) {
      const int p = i % Policy::points, h = i / Policy::points;  // a warp shares W2's row
      if (first + p >= params.count) continue;
      const float* hidden = tile.hidden + p * Policy::hidden_stride;
      const float* row = weights.w2 + std::int64_t(h) * gaussians;
      float sum = 0;
      for (int j = 0; j < gaussians; ++j) sum += hidden[j] * row[j];
      params.phi[(first + p) * heads + h] = tile.distance[p] == 0.0F ? 0.0F : sum + weights.b2[h];
    }
  }
}

}  // namespace stofm::kernels
