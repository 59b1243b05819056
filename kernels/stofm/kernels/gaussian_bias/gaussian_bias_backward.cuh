// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradients of the Gaussian network from g = dL/dPhi, psi and hidden units computed again:
///   dW2 = g^T hidden, dz = (g W2) [z > 0], dW1 = dz^T psi, dpsi = dz W1, t = dpsi psi, u = (a - mu)/s,
///   da = -sum_k t u / s, dmu = sum t u / s, dsigma = sum t (u^2 - 1) / s sign(sigma), dw = sum da d, db =
///   sum da.
/// Block: 8 warps, tiles of 64 distances as in forward; sums over its tiles stay in registers (W1: 8 x 8 a
/// thread, at 128 units) or in its own partial sum in global memory (W2), which a second kernel adds up in
/// the order of the blocks. No atomics. Shared memory: GaussianTile and g (152 KB at most). Limiter: FMA.

#include "stofm/kernels/gaussian_bias/gaussian_bias_forward.cuh"

namespace stofm::kernels {

struct GaussianBackwardParams {
  backend::GaussianWeights weights;
  const float* distances;  ///< [count]
  std::int64_t count;
  const float* grad_phi;  ///< [count, heads]
  float* partials;        ///< [gridDim.x, at.size]
  GaussianPartial at;
};

template <int Units>
struct GaussianBackwardShared {
  GaussianTile<Units> tile;
  float grad_phi[GaussianPolicy<Units>::points * (backend::max_gaussian_heads + 1)];
  float grad_argument[GaussianPolicy<Units>::points];
};

template <int Units>
static __global__ void __launch_bounds__(GaussianPolicy<Units>::threads)
    gaussian_bias_backward_kernel(GaussianBackwardParams params) {
  using Policy = GaussianPolicy<Units>;
  constexpr int points = Policy::points, threads = Policy::threads, stride = Policy::stride,
                hidden_stride = Policy::hidden_stride;
  auto& shared = shared_memory<GaussianBackwardShared<Units>>();
  auto& tile = shared.tile;
  float* grad_phi = shared.grad_phi;  // [64, heads + 1]
  float* grad_z = tile.hidden;        // in place, then d psi
  const backend::GaussianWeights& weights = params.weights;
  const int heads = static_cast<int>(weights.heads), units = static_cast<int>(weights.gaussians);
  const GaussianPartial& at = params.at;
  float* partial = params.partials + std::int64_t(blockIdx.x) * at.size;
  const int thread = static_cast<int>(threadIdx.x), grad_stride = heads + 1;
  tile.load_parameters(weights);

  // This thread's part of dW1: rows 8 (thread / 16) .., columns 8 (thread % 16) ..; and of the other sums.
  const int w1_row = thread / 16 * 8, w1_column = thread % 16 * 8;
  const bool has_w1 = w1_row < Units && w1_column < Units;
  float grad_w1[8][8] = {};
  float grad_b1 = 0, grad_mean = 0, grad_width = 0;  // of unit `thread`
  float grad_w = 0, grad_b = 0;                      // of point `thread`
  bool first_tile = true;
  for (std::int64_t first = std::int64_t(blockIdx.x) * points; first < params.count;
       first += std::int64_t(gridDim.x) * points) {
    block_sync();  // parameters; what the tile before still reads
    for (int i = thread; i < points * heads; i += threads) {
      const int p = i / heads, h = i % heads;
      const bool flows = first + p < params.count && params.distances[first + p] != 0.0F;
      grad_phi[p * grad_stride + h] = flows ? params.grad_phi[(first + p) * heads + h] : 0.0F;
    }
    tile.compute(weights, params.distances, first, params.count);

    // ---- dW2 [heads, units] and db2: this block's partial sum in global memory
    for (int i = thread; i < heads * units; i += threads) {
      const int h = i / units, j = i % units;
      float sum = 0;
      for (int p = 0; p < points; ++p)
        sum += grad_phi[p * grad_stride + h] * tile.hidden[p * hidden_stride + j];
      float* to = partial + at.w2 + i;
      *to = first_tile ? sum : *to + sum;
    }
    for (int h = thread; h < heads; h += threads) {
      float sum = 0;
      for (int p = 0; p < points; ++p) sum += grad_phi[p * grad_stride + h];
      float* to = partial + at.b2 + h;
      *to = first_tile ? sum : *to + sum;
    }
    first_tile = false;
    block_sync();
    // ---- dz, over the hidden units
    for (int i = thread; i < points * Policy::hidden; i += threads) {
      const int p = i / Policy::hidden, j = i % Policy::hidden;
      float sum = 0;
      if (j < units && !(tile.hidden[p * hidden_stride + j] <= 0.0F))
        for (int h = 0; h < heads; ++h)
          sum += grad_phi[p * grad_stride + h] * weights.w2[std::int64_t(h) * units + j];
      grad_z[p * hidden_stride + j] = sum;
    }
    block_sync();
    if (thread < units)
      for (int p = 0; p < points; ++p) grad_b1 += grad_z[p * hidden_stride + thread];
    // ---- dW1 += dz^T psi
    if (has_w1)
      for (int p = 0; p < points; ++p) {
        float row[8], column[8];
        STOFM_UNROLL
        for (int i = 0; i < 8; i += 4) {
          const float4 a = load4(grad_z + p * hidden_stride + w1_row + i),
                       b = load4(tile.psi + p * stride + w1_column + i);
          row[i] = a.x, row[i + 1] = a.y, row[i + 2] = a.z, row[i + 3] = a.w;
          column[i] = b.x, column[i + 1] = b.y, column[i + 2] = b.z, column[i + 3] = b.w;
        }
        STOFM_UNROLL
        for (int i = 0; i < 8; ++i) {
          STOFM_UNROLL
          for (int j = 0; j < 8; ++j) grad_w1[i][j] += row[i] * column[j];
        }
      }
    // ---- dpsi = dz W1: points 4 (thread / 16) .., Gaussians 8 (thread % 16) ..
    float grad_psi[4][8] = {};
    if (w1_column < Units)
      for (int j = 0; j < units; ++j) {
        const float4 left = load4(tile.w1 + j * stride + w1_column),
                     right = load4(tile.w1 + j * stride + w1_column + 4);
        STOFM_UNROLL
        for (int i = 0; i < 4; ++i) {
          const float dz = grad_z[(thread / 16 * 4 + i) * hidden_stride + j];
          grad_psi[i][0] += dz * left.x, grad_psi[i][1] += dz * left.y;
          grad_psi[i][2] += dz * left.z, grad_psi[i][3] += dz * left.w;
          grad_psi[i][4] += dz * right.x, grad_psi[i][5] += dz * right.y;
          grad_psi[i][6] += dz * right.z, grad_psi[i][7] += dz * right.w;
        }
      }
    block_sync();  // dz is no longer needed
    if (w1_column < Units) {
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) {
        float* to = grad_z + (thread / 16 * 4 + i) * hidden_stride + w1_column;
        store4(to, float4{grad_psi[i][0], grad_psi[i][1], grad_psi[i][2], grad_psi[i][3]});
        store4(to + 4, float4{grad_psi[i][4], grad_psi[i][5], grad_psi[i][6], grad_psi[i][7]});
      }
    }
    block_sync();
    // ---- centres and widths: a thread per Gaussian, over the points
    if (thread < units)
      for (int p = 0; p < points; ++p) {
        const float u = (tile.argument[p] - tile.mean[thread]) * tile.inverse_width[thread];
        const float t = grad_z[p * hidden_stride + thread] * tile.psi[p * stride + thread];
        grad_mean += t * u;
        grad_width += t * (u * u - 1.0F);
      }
    // ---- arguments: a warp per point, over the Gaussians
    for (int p = warp(); p < points; p += threads / warp_size) {
      float sum = 0;
      for (int k = lane(); k < Units; k += warp_size) {
        const float u = (tile.argument[p] - tile.mean[k]) * tile.inverse_width[k];
        sum -= grad_z[p * hidden_stride + k] * tile.psi[p * stride + k] * u * tile.inverse_width[k];
      }
      sum = warp_sum(sum);
      if (lane() == 0) shared.grad_argument[p] = sum;
    }
    block_sync();
    if (thread < points) {
      grad_w += shared.grad_argument[thread] * tile.distance[thread];
      grad_b += shared.grad_argument[thread];
    }
  }

  // ---- this block's partial sum
  if (has_w1)
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < 8; ++j)
        if (w1_row + i < units && w1_column + j < units)
          partial[at.w1 + std::int64_t(w1_row + i) * units + w1_column + j] = grad_w1[i][j];
  if (thread < units) {
    const float sigma = weights.stds[thread], sign = sigma > 0.0F ? 1.0F : sigma < 0.0F ? -1.0F : 0.0F;
    partial[at.b1 + thread] = grad_b1;
    partial[at.means + thread] = grad_mean * tile.inverse_width[thread];
    partial[at.stds + thread] = grad_width * tile.inverse_width[thread] * sign;
  }
  block_sync();  // the arguments' gradients were read
  // In the order of the points; w first, then b, through the same words.
  for (int which = 0; which < 2; ++which) {
    if (thread < points) shared.grad_argument[thread] = which == 0 ? grad_w : grad_b;
    block_sync();
    if (thread == 0) {
      float sum = 0;
      for (int p = 0; p < points; ++p) sum += shared.grad_argument[p];
      partial[which == 0 ? at.w : at.b] = sum;
    }
    block_sync();
  }
}

struct GaussianReduceParams {
  backend::GaussianWeightGradients into;
  std::int64_t blocks;
  const float* partials;
  GaussianPartial at;
};

/// Adds the partial sums in the order of the blocks, in double; a thread per number.
[[maybe_unused]] static __global__ void gaussian_reduce_kernel(GaussianReduceParams params) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const GaussianPartial& at = params.at;
  if (i >= at.size) return;
  double sum = 0;
  for (std::int64_t block = 0; block < params.blocks; ++block)
    sum += static_cast<double>(params.partials[block * at.size + i]);
  const auto& into = params.into;
  float* to = i < at.b1      ? into.w1 + i
              : i < at.means ? into.b1 + (i - at.b1)
              : i < at.stds  ? into.means + (i - at.means)
              : i < at.w2    ? into.stds + (i - at.stds)
              : i < at.b2    ? into.w2 + (i - at.w2)
              : i < at.w     ? into.b2 + (i - at.b2)
              : i < at.b     ? into.w
                             : into.b;
  *to += static_cast<float>(sum);
}

}  // namespace stofm::kernels
