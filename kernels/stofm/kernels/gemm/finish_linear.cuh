// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a GEMM epilogue does not do: y = activation(y + factor * bias) in place, any width and stride. A
/// thread owns one element. No shared memory. Deterministic. Limited by bytes: 8 per element.

#include "stofm/core/op_options.hpp"
#include "stofm/kernels/common/launch.cuh"

namespace stofm::kernels {

struct FinishLinearParams {
  float* y = nullptr;           // [rows, columns], `stride` between rows
  const float* bias = nullptr;  // [columns] or null
  float factor = 1.0F;          // of the bias
  Activation activation = Activation::identity;
  std::int64_t rows = 0, columns = 0, stride = 0;
};

static __global__ void finish_linear_kernel(const FinishLinearParams p) {
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= p.rows * p.columns) return;
  const std::int64_t row = at / p.columns, column = at % p.columns;
  float& y = p.y[row * p.stride + column];
  float value = y;
  if (p.bias != nullptr) value += p.factor * p.bias[column];
  if (p.activation == Activation::relu) value = value < 0.0F ? 0.0F : value;
  if (p.activation == Activation::gelu) value = 0.5F * value * (1.0F + erff(value * 0.70710678118654752440F));
  y = value;
}

inline void launch_finish_linear(const FinishLinearParams& params, backend::CudaStream stream) {
  constexpr int threads = 256;
  launch(finish_linear_kernel,
         {.grid = {blocks(params.rows * params.columns, threads)},
          .block = {threads},
          .stream = stream,
          .name = "finish_linear"},
         params);
}

}  // namespace stofm::kernels
