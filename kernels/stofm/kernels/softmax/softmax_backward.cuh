// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// grad_x_j = y_j (grad_y_j - sum_k grad_y_k y_k) for y = softmax(x). A warp owns a row; sums as forward.
/// *Limiter* bytes: 12 an element. grad_x may be grad_y.

#include "stofm/kernels/common/rows.cuh"

namespace stofm::kernels {

struct SoftmaxGradientParams {
  Rows<float> grad_x;
  Rows<const float> grad_y, y;
  std::int64_t rows, columns;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    softmax_gradient_rows(const SoftmaxGradientParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float *grad_y = p.grad_y.row(row), *y = p.y.row(row);
  float sum = 0.0F;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) sum += grad_y[j] * y[j];
  sum = warp_sum(sum);
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    p.grad_x.row(row)[j] = y[j] * (grad_y[j] - sum);
}

}  // namespace stofm::kernels
