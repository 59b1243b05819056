// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of rows: y = (z - mean z) / sqrt(var z + eps) * gamma + beta, z = x (+ residual),
/// variance with divisor N in two passes over registers. A warp owns a row, lane l its columns l, l + 32,
/// ...; up to 1,024 columns stay in registers (rows longer than that are read three times). No shared memory,
/// no barrier. Sums: float per lane, then the fixed tree of warp_sum. *Deterministic*. *Limiter* bytes: reads
/// x (and residual) once, writes y once.

#include "stofm/kernels/common/warp.cuh"
#include "stofm/kernels/layer_norm/policy.hpp"

namespace stofm::kernels {

struct LayerNormParams {
  float* y;               ///< [rows, columns]
  const float* x;         ///< [rows, columns]; may be y
  const float* residual;  ///< [rows, columns] or null
  const float* gamma;     ///< [columns]
  const float* beta;      ///< [columns]
  std::int64_t rows, columns;
  std::int64_t y_stride, x_stride, residual_stride;  ///< elements from row to row
  float eps;
};

namespace detail {
__device__ __forceinline__ float layer_norm_input(const LayerNormParams& p, std::int64_t row,
                                                  std::int64_t column) {
  const float x = p.x[row * p.x_stride + column];
  return p.residual == nullptr ? x : x + p.residual[row * p.residual_stride + column];
}
}  // namespace detail

/// `Values` columns per lane in registers: columns <= 32 Values.
template <class Policy, int Values>
static __global__ void __launch_bounds__(Policy::threads) layer_norm_rows(const LayerNormParams p) {
  static_assert(Policy::threads == Policy::warps * warp_size);
  const std::int64_t row = std::int64_t{blockIdx.x} * Policy::warps + warp();
  if (row >= p.rows) return;  // the whole warp, and there is no barrier
  const float count = static_cast<float>(p.columns);
  float z[Values];
  float sum = 0.0F;
  STOFM_UNROLL
  for (int i = 0; i < Values; ++i) {
    const std::int64_t column = lane() + std::int64_t{i} * warp_size;
    z[i] = column < p.columns ? detail::layer_norm_input(p, row, column) : 0.0F;
    sum += z[i];
  }
  const float mean = warp_sum(sum) / count;
  float squares = 0.0F;
  STOFM_UNROLL
  for (int i = 0; i < Values; ++i) {
    const std::int64_t column = lane() + std::int64_t{i} * warp_size;
    z[i] -= mean;
    if (column < p.columns) squares += z[i] * z[i];
  }
  const float factor = 1.0F / sqrtf(warp_sum(squares) / count + p.eps);
  STOFM_UNROLL
  for (int i = 0; i < Values; ++i) {
    const std::int64_t column = lane() + std::int64_t{i} * warp_size;
    if (column < p.columns) p.y[row * p.y_stride + column] = z[i] * factor * p.gamma[column] + p.beta[column];
  }
}

/// Any number of columns.
template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) layer_norm_long_rows(const LayerNormParams p) {
  const std::int64_t row = std::int64_t{blockIdx.x} * Policy::warps + warp();
  if (row >= p.rows) return;
  const float count = static_cast<float>(p.columns);
  float sum = 0.0F;
  for (std::int64_t column = lane(); column < p.columns; column += warp_size)
    sum += detail::layer_norm_input(p, row, column);
  const float mean = warp_sum(sum) / count;
  float squares = 0.0F;
  for (std::int64_t column = lane(); column < p.columns; column += warp_size) {
    const float centred = detail::layer_norm_input(p, row, column) - mean;
    squares += centred * centred;
  }
  const float factor = 1.0F / sqrtf(warp_sum(squares) / count + p.eps);
  for (std::int64_t column = lane(); column < p.columns; column += warp_size)
    p.y[row * p.y_stride + column] =
        (detail::layer_norm_input(p, row, column) - mean) * factor * p.gamma[column] + p.beta[column];
}

}  // namespace stofm::kernels
