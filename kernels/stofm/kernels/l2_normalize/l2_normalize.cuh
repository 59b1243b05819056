// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows scaled to Euclidean length 1, y = x / ||x||, zeros stay zeros, and the gradient, grad_x = (grad_y - h
/// <grad_y, h>) / ||x|| with h = x / ||x||; 0 for a row of zeros. A warp owns a row; sums in double, so that
/// they can't overflow. *Deterministic*. *Limiter* bytes: 8 and 12 an element. y may be x, grad_x grad_y or x.

#include "stofm/kernels/common/rows.cuh"

namespace stofm::kernels {

struct L2NormalizeParams {
  Rows<float> y;
  Rows<const float> x;
  std::int64_t rows, columns;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) l2_normalize_rows(const L2NormalizeParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float* x = p.x.row(row);
  double sum = 0.0;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const double v = static_cast<double>(x[j]);
    sum += v * v;
  }
  sum = warp_sum(sum);
  const double factor = sum == 0.0 ? 0.0 : 1.0 / sqrt(sum);
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    p.y.row(row)[j] = static_cast<float>(static_cast<double>(x[j]) * factor);
}

struct L2NormalizeGradientParams {
  Rows<float> grad_x;
  Rows<const float> grad_y, x;
  std::int64_t rows, columns;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    l2_normalize_gradient_rows(const L2NormalizeGradientParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float *grad_y = p.grad_y.row(row), *x = p.x.row(row);
  double squares = 0.0, product = 0.0;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const double v = static_cast<double>(x[j]);
    squares += v * v;
    product += v * static_cast<double>(grad_y[j]);
  }
  squares = warp_sum(squares);
  product = warp_sum(product);
  const double factor = squares == 0.0 ? 0.0 : 1.0 / sqrt(squares);
  const double along = product * factor * factor;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    p.grad_x.row(row)[j] =
        static_cast<float>(factor * (static_cast<double>(grad_y[j]) - static_cast<double>(x[j]) * along));
}

}  // namespace stofm::kernels
