// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Packing of operands for pair attention: float32 rows of all heads -> rows of one head after the other,
/// padded, in the elements of a precision; and the row products that backward reads. Limited by memory traffic;
/// no shared memory; every output element has one writer.

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/common/tile_product.cuh"

namespace stofm::kernels {

inline constexpr int pair_pack_threads = 256;

struct PairPackParams {
  struct Matrix {
    const float* from;
    std::int64_t stride;
    void* to;
    float factor;
  };
  Matrix matrices[4];  ///< blockIdx.y chooses
  std::int64_t nodes, heads, head_dim;
};

/// [nodes, heads * head_dim] -> [parts][heads][nodes][Width], padded with zeros. A thread writes neighbouring
/// numbers of one head's rows; reads of a row are coalesced over its columns.
template <backend::Precision P, int Width>
static __global__ void pair_pack_kernel(PairPackParams params) {
  using Layout = TileLayout<P, Width>;
  const PairPackParams::Matrix& matrix = params.matrices[blockIdx.y];
  const std::int64_t count = params.heads * params.nodes * Width;
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const std::int64_t column = at % Width, node = at / Width % params.nodes, head = at / Width / params.nodes;
  const float x = column < params.head_dim
                      ? matrix.from[node * matrix.stride + head * params.head_dim + column] * matrix.factor
                      : 0.0F;
  auto* to = static_cast<typename Layout::Element*>(matrix.to);
  if constexpr (Layout::plain) {
    to[at] = x;
  } else {
    const bfloat16 high = to_bfloat16(x);
    to[at] = high;
    if constexpr (Layout::parts == 2) to[count + at] = to_bfloat16(x - to_float(high));
  }
}

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
static __global__ void pair_row_products_kernel(PairRowProductsParams params) {
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
