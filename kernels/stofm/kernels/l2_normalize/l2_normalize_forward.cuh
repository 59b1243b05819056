// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows scaled to Euclidean length 1: y = x / ||x||, zeros stay zeros. A warp owns a row; the norm is summed
/// in double, so that it can't overflow. *Deterministic*. *Limiter* bytes: 8 an element. y may be x.

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

}  // namespace stofm::kernels
