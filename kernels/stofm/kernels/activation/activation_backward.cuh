// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// grad_x = grad_y activation'(x): relu 1 for x > 0, else 0 (NaN in x stays); gelu Phi(x) + x phi(x). A warp
/// owns a row. *Limiter* bytes: 12 an element. grad_x may be grad_y or x.

#include "stofm/kernels/activation/activation_forward.cuh"

namespace stofm::kernels {

struct ActivationGradientParams {
  Rows<float> grad_x;
  Rows<const float> grad_y, x;
  std::int64_t rows, columns;
  Activation activation;
};

__device__ __forceinline__ float activation_gradient(float grad_y, float x, Activation activation) {
  if (activation == Activation::relu) return x > 0.0F ? grad_y : x <= 0.0F ? grad_y * 0.0F : x;
  if (activation == Activation::gelu) {
    const float distribution = 0.5F * (1.0F + erff(x * 0.70710678118654752440F));
    const float density = 0.39894228040143267794F * expf(-0.5F * x * x);
    return grad_y * (distribution + (density == 0.0F ? 0.0F : x * density));  // also for infinities
  }
  return grad_y;
}

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    activation_gradient_rows(const ActivationGradientParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    p.grad_x.row(row)[j] = activation_gradient(p.grad_y.row(row)[j], p.x.row(row)[j], p.activation);
}

}  // namespace stofm::kernels
