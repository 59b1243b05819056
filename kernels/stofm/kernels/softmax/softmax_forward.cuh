// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax of rows: y_j = exp(x_j - max) / sum_k exp(x_k - max). A row of -inf (everything masked) gives
/// zeros, a NaN makes its row NaN. A warp owns a row and walks it three times. Sums: float per lane, then the
/// fixed tree. *Deterministic*. *Limiter* bytes: 8 an element; two exponentials. y may be x.

#include "stofm/kernels/common/rows.cuh"

namespace stofm::kernels {

struct SoftmaxParams {
  Rows<float> y;
  Rows<const float> x;
  std::int64_t rows, columns;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) softmax_rows(const SoftmaxParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float* x = p.x.row(row);
  const float lowest = -INFINITY;
  float largest = lowest;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) largest = x[j] > largest ? x[j] : largest;
  largest = warp_max(largest);
  if (largest == lowest) largest = 0.0F;
  float sum = 0.0F;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) sum += expf(x[j] - largest);
  sum = warp_sum(sum);
  const float factor = sum == 0.0F ? 0.0F : 1.0F / sum;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    p.y.row(row)[j] = expf(x[j] - largest) * factor;
}

}  // namespace stofm::kernels
