// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Phi(d) = W2 relu(W1 psi(w d + b) + b1) + b2, Phi(0) = 0, for many distances.
/// Block: 8 warps; W1 in shared memory for all of its tiles of 64 distances (tile = blockIdx.x, + gridDim.x,
/// ...). Products: float32 FMA in the accumulator layout of common/tile_product.cuh. Shared memory:
/// GaussianTile (135 KB for 128 Gaussians). *Deterministic*: one writer per output. Limiter: FMA and shared
/// memory reads.

#include "stofm/kernels/gaussian_bias/gaussian_tile.cuh"

namespace stofm::kernels {

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
