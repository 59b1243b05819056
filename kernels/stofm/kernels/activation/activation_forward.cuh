// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activations of rows: relu y = max(x, 0) with NaN kept, gelu y = x (1 + erf(x / sqrt 2)) / 2. A warp owns a
/// row; no shared memory, no barrier. *Limiter* bytes: 8 an element. y may be x.

#include "stofm/core/op_options.hpp"
#include "stofm/kernels/common/rows.cuh"

namespace stofm::kernels {

struct ActivationParams {
  Rows<float> y;
  Rows<const float> x;
  std::int64_t rows, columns;
  Activation activation;
};

__device__ __forceinline__ float activate(float x, Activation activation) {
  if (activation == Activation::relu) return x < 0.0F ? 0.0F : x;
  if (activation == Activation::gelu) return 0.5F * x * (1.0F + erff(x * 0.70710678118654752440F));
  return x;
}

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) activation_rows(const ActivationParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    p.y.row(row)[j] = activate(p.x.row(row)[j], p.activation);
}

}  // namespace stofm::kernels
