// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of layer normalisation of z = x (+ residual). With h = (z - mean) / sqrt(var + eps), g = grad_y
/// gamma:
///     grad_z = (g - mean g - h mean(g h)) / sqrt(var + eps),  grad_gamma += sum grad_y h,  grad_beta += sum
///     grad_y
/// First kernel: a warp owns a row and leaves mean and 1 / sqrt(var + eps) in the workspace. Then the column
/// sums of grad_y h and grad_y (column_sums.cuh, in double). Last: a warp owns a row again and writes grad_z,
/// which may thus be grad_y. Sums of a row: float per lane, then the fixed tree. *Deterministic*. *Limiter*
/// bytes: z is read three times, grad_y twice; the fused backward of an encoder block is elsewhere.

#include "stofm/kernels/column_sums/column_sums.cuh"
#include "stofm/kernels/common/rows.cuh"

namespace stofm::kernels {

struct LayerNormGradientParams {
  Rows<float> grad_z;                     ///< [rows, columns]; may be grad_y
  Rows<const float> grad_y, x, residual;  ///< residual.data may be null
  const float* gamma;                     ///< [columns]
  float* statistics;                      ///< [rows, 2] workspace: mean, 1 / sqrt(var + eps)
  std::int64_t rows, columns;
  float eps;
};

namespace detail {
template <class P>
__device__ __forceinline__ float layer_norm_gradient_input(const P& p, std::int64_t row,
                                                           std::int64_t column) {
  const float x = p.x.row(row)[column];
  return p.residual.data == nullptr ? x : x + p.residual.row(row)[column];
}
}  // namespace detail

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    layer_norm_statistics(const LayerNormGradientParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float count = static_cast<float>(p.columns);
  float sum = 0.0F;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    sum += detail::layer_norm_gradient_input(p, row, j);
  const float mean = warp_sum(sum) / count;
  float squares = 0.0F;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const float centred = detail::layer_norm_gradient_input(p, row, j) - mean;
    squares += centred * centred;
  }
  const float factor = 1.0F / sqrtf(warp_sum(squares) / count + p.eps);
  if (lane() == 0) {
    p.statistics[2 * row] = mean;
    p.statistics[2 * row + 1] = factor;
  }
}

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    layer_norm_gradient_rows(const LayerNormGradientParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float count = static_cast<float>(p.columns);
  const float mean = p.statistics[2 * row], factor = p.statistics[2 * row + 1];
  const float* grad_y = p.grad_y.row(row);
  float sum_g = 0.0F, sum_gh = 0.0F;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const float h = (detail::layer_norm_gradient_input(p, row, j) - mean) * factor;
    const float g = grad_y[j] * p.gamma[j];
    sum_g += g;
    sum_gh += g * h;
  }
  const float mean_g = warp_sum(sum_g) / count, mean_gh = warp_sum(sum_gh) / count;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const float h = (detail::layer_norm_gradient_input(p, row, j) - mean) * factor;
    p.grad_z.row(row)[j] = factor * (grad_y[j] * p.gamma[j] - mean_g - h * mean_gh);
  }
}

/// What is summed over the rows for gamma (0) and beta (1).
struct LayerNormGradientTerm {
  static constexpr int outputs = 2;
  Rows<const float> grad_y, x, residual;
  const float* statistics;
  __device__ __forceinline__ void operator()(std::int64_t row, std::int64_t column, double (&out)[2]) const {
    const float z = detail::layer_norm_gradient_input(*this, row, column);
    const float h = (z - statistics[2 * row]) * statistics[2 * row + 1];
    const double grad = static_cast<double>(grad_y.row(row)[column]);
    out[0] = grad * static_cast<double>(h);
    out[1] = grad;
  }
};

}  // namespace stofm::kernels
