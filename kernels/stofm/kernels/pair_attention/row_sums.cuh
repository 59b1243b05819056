// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The small kernel beside backward: row products. Limited by memory traffic; every output element has one
/// writer.

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/common/platform.cuh"

namespace stofm::kernels {

inline constexpr int pair_operand_threads = 256;

struct PairRowProductsParams {
  const float* y;
  std::int64_t y_stride;
  const float* grad_y;
  std::int64_t grad_y_stride;
  float* products;  ///< [heads, nodes]
  std::int64_t nodes, heads, head_dim;
};

/// products[h, i] = sum_c grad_y[i, h, c] y[i, h, c], in ascending order; a thread each, heads fastest.
[[maybe_unused]] static __global__ void pair_row_products_kernel(PairRowProductsParams params) {
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= params.nodes * params.heads) return;
  const std::int64_t node = at / params.heads, head = at % params.heads;
  const float* y = params.y + node * params.y_stride + head * params.head_dim;
  const float* grad_y = params.grad_y + node * params.grad_y_stride + head * params.head_dim;
  float sum = 0;
  for (std::int64_t c = 0; c < params.head_dim; ++c) sum += grad_y[c] * y[c];
  params.products[head * params.nodes + node] = sum;
}

}  // namespace stofm::kernels
