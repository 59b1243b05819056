// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Elementwise passes over packed rows that end in an operand form:
///   forward   a = dropout(act(h + bias)); h + bias is kept for backward
///   backward  out = dropout(grad) act'(h), and its sums over rows (the gradient of a bias)
///   convert   out = x[rows], from float32
/// Forward and convert: a thread owns four columns of a row. Backward: a block owns 128 columns of
/// consecutive rows, a warp every eighth row; sums over warps through shared memory in their order, over
/// blocks by `add_partials_kernel`. *Deterministic*. *Limiter* bytes: 8 read, 2 to 10 written per element.

#include "stofm/core/op_options.hpp"
#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/model/packed_dropout.cuh"
#include "stofm/kernels/model/policy.hpp"

namespace stofm::kernels::se2 {

inline constexpr float root_half = 0.70710678118654752440F;            // 1 / sqrt(2)
inline constexpr float root_two_pi_inverse = 0.39894228040143267794F;  // 1 / sqrt(2 pi)

template <Activation Act>
__device__ __forceinline__ float activated(float x) {
  if constexpr (Act == Activation::relu) return x <= 0.0F ? 0.0F : x;  // NaN stays
  if constexpr (Act == Activation::gelu) return 0.5F * x * (1.0F + erff(x * root_half));
  return x;
}
template <Activation Act>
__device__ __forceinline__ float activation_slope(float x) {
  if constexpr (Act == Activation::relu) return x <= 0.0F ? 0.0F : 1.0F;
  if constexpr (Act == Activation::gelu)
    return 0.5F * (1.0F + erff(x * root_half)) + x * root_two_pi_inverse * expf(-0.5F * x * x);
  return 1.0F;
}

struct ActivateParams {
  float* h = nullptr;           // [rows, columns] dense: the product; h + bias is written back if `keep`
  const float* bias = nullptr;  // [columns]
  bool keep = false;
  PackedDropout dropout;
  void* operand = nullptr;  // dense operand [rows, columns]
  std::int64_t rows = 0, columns = 0;
};

template <OperandForm Form, Activation Act>
static __global__ void __launch_bounds__(256) activate_kernel(const ActivateParams p) {
  const std::int64_t quads = p.columns / 4, at = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= p.rows * quads) return;
  const std::int64_t row = at / quads, column = 4 * (at % quads);
  Quad q = load_quad(p.h + row * p.columns + column);
  const Quad bias = load_quad(p.bias + column);
#pragma unroll
  for (int i = 0; i < 4; ++i) q.v[i] += bias.v[i];
  if (p.keep) store_quad(p.h + row * p.columns + column, q);
#pragma unroll
  for (int i = 0; i < 4; ++i) q.v[i] = activated<Act>(q.v[i]);
  drop_quad(p.dropout, row, p.columns, column, q);
  store_operand<Form>(p.operand, row, p.columns, column, q);
}

struct ConvertRowsParams {
  const float* x = nullptr;  // [*, columns], rows `stride` apart
  std::int64_t stride = 0;
  const std::int32_t* rows_of = nullptr;  // [rows] which row of x, or null: row i is row i
  void* operand = nullptr;                // dense operand [rows, columns]
  std::int64_t rows = 0, columns = 0;
};

template <OperandForm Form>
static __global__ void __launch_bounds__(256) convert_rows_kernel(const ConvertRowsParams p) {
  const std::int64_t quads = p.columns / 4, at = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= p.rows * quads) return;
  const std::int64_t row = at / quads, column = 4 * (at % quads);
  const std::int64_t from = p.rows_of != nullptr ? p.rows_of[row] : row;
  store_operand<Form>(p.operand, row, p.columns, column, load_quad(p.x + from * p.stride + column));
}

/// A linear layer's weight [rows, columns] in the flat buffers; see LinearPlace.
struct PackedLinear {
  std::int64_t weight = 0, operand = 0, stacked = -1;
  std::int64_t rows = 0, columns = 0;
};
struct PackWeightsParams {
  const PackedLinear* linears = nullptr;  // [gridDim.y]
  const float* values = nullptr;
  std::byte* operands = nullptr;
};

/// Every weight in the forms that products read, in one launch.
template <OperandForm Form>
static __global__ void __launch_bounds__(256) pack_weights_kernel(const PackWeightsParams p) {
  const PackedLinear linear = p.linears[blockIdx.y];
  const std::int64_t quads = linear.columns / 4, count = linear.rows * quads,
                     step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t at = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < count; at += step) {
    const std::int64_t row = at / quads, column = 4 * (at % quads);
    const Quad q = load_quad(p.values + linear.weight + row * linear.columns + column);
    store_operand<Form>(p.operands + linear.operand, row, linear.columns, column, q);
    if constexpr (Form == OperandForm::split_right) {
      if (linear.stacked < 0) continue;
      auto* const to = reinterpret_cast<bfloat16*>(p.operands + linear.stacked) + 4 * at;
      store_quad(to, q);
      store_quad(to + 4 * count, rest_of(q));
      store_quad(to + 8 * count, q);
    }
  }
}

struct GradientRowsParams {
  const float* grad = nullptr;  // [rows, columns] dense
  const float* h = nullptr;     // [rows, columns] dense; not read for Activation::identity
  PackedDropout dropout;
  void* operand = nullptr;   // dense operand [rows, columns]
  float* partial = nullptr;  // [row blocks, columns]
  std::int64_t rows = 0, columns = 0, rows_per_block = 0;
};

struct GradientRowsStorage {
  float sums[RowPolicy::warps][RowPolicy::columns_per_chunk];
};

/// Grid: [row blocks, blocks of 128 columns].
template <OperandForm Form, Activation Act>
static __global__ void __launch_bounds__(RowPolicy::threads)
    gradient_rows_kernel(const GradientRowsParams p) {
  const std::int64_t first = std::int64_t{blockIdx.y} * RowPolicy::columns_per_chunk;
  const std::int64_t column = first + 4 * lane(), begin = std::int64_t{blockIdx.x} * p.rows_per_block;
  const std::int64_t end = begin + p.rows_per_block < p.rows ? begin + p.rows_per_block : p.rows;
  Quad sum = {};
  if (column < p.columns)
    for (std::int64_t row = begin + warp(); row < end; row += RowPolicy::warps) {
      const std::int64_t at = row * p.columns + column;
      Quad g = load_quad(p.grad + at);
      drop_quad(p.dropout, row, p.columns, column, g);
      if constexpr (Act != Activation::identity) {
        const Quad h = load_quad(p.h + at);
#pragma unroll
        for (int i = 0; i < 4; ++i) g.v[i] *= activation_slope<Act>(h.v[i]);
      }
      store_operand<Form>(p.operand, row, p.columns, column, g);
#pragma unroll
      for (int i = 0; i < 4; ++i) sum.v[i] += g.v[i];
    }
  auto& shared = shared_memory<GradientRowsStorage>();
  store_quad(shared.sums[warp()] + 4 * lane(), sum);
  block_sync();
  const std::int64_t own = first + threadIdx.x;
  if (threadIdx.x >= RowPolicy::columns_per_chunk || own >= p.columns) return;
  float total = 0.0F;
#pragma unroll
  for (int w = 0; w < RowPolicy::warps; ++w) total += shared.sums[w][threadIdx.x];
  p.partial[std::int64_t{blockIdx.x} * p.columns + own] = total;
}

}  // namespace stofm::kernels::se2
