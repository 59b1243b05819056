// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reading and writing four columns of a matrix at a time, in the operand forms of gemm/problem.hpp.
/// Columns are a multiple of four, so that every access is aligned: 16 bytes of float32, 8 of bfloat16.

#include "stofm/kernels/common/copy.cuh"
#include "stofm/kernels/common/scalar.cuh"
#include "stofm/kernels/gemm/problem.hpp"

namespace stofm::kernels {

/// Four values of one row.
struct Quad {
  float v[4];
};

__device__ __forceinline__ Quad load_quad(const float* from) {
  const float4 raw = *reinterpret_cast<const float4*>(from);
  return {{raw.x, raw.y, raw.z, raw.w}};
}
__device__ __forceinline__ Quad load_quad(const bfloat16* from) {
  const uint2 raw = *reinterpret_cast<const uint2*>(from);
  return {{low_bfloat16(raw.x), high_bfloat16(raw.x), low_bfloat16(raw.y), high_bfloat16(raw.y)}};
}
__device__ __forceinline__ void store_quad(float* to, const Quad& q) {
  *reinterpret_cast<float4*>(to) = float4{q.v[0], q.v[1], q.v[2], q.v[3]};
}
__device__ __forceinline__ void store_quad(bfloat16* to, const Quad& q) {
  *reinterpret_cast<uint2*>(to) = uint2{pack_bfloat16(q.v[0], q.v[1]), pack_bfloat16(q.v[2], q.v[3])};
}

/// What bfloat16(q) leaves behind.
__device__ __forceinline__ Quad rest_of(const Quad& q) {
  const std::uint32_t first = pack_bfloat16(q.v[0], q.v[1]), second = pack_bfloat16(q.v[2], q.v[3]);
  return {{q.v[0] - low_bfloat16(first), q.v[1] - high_bfloat16(first), q.v[2] - low_bfloat16(second),
           q.v[3] - high_bfloat16(second)}};
}

/// Elements of a stored row; as operand_row, for device code.
template <OperandForm Form>
__device__ __forceinline__ std::int64_t stored_row(std::int64_t columns) {
  if constexpr (Form == OperandForm::split_left || Form == OperandForm::split_right)
    return 3 * columns;
  else
    return Form == OperandForm::split_pair ? 2 * columns : columns;
}

/// Columns [column, column + 4) of row `row` of a dense operand of `columns` columns.
template <OperandForm Form>
__device__ __forceinline__ void store_operand(void* data, std::int64_t row, std::int64_t columns,
                                              std::int64_t column, const Quad& q) {
  if constexpr (Form == OperandForm::float32) {
    store_quad(static_cast<float*>(data) + row * columns + column, q);
  } else {
    bfloat16* const at = static_cast<bfloat16*>(data) + row * stored_row<Form>(columns) + column;
    store_quad(at, q);
    if constexpr (Form == OperandForm::split_left) {
      store_quad(at + columns, rest_of(q));
      store_quad(at + 2 * columns, q);
    } else if constexpr (Form == OperandForm::split_right) {
      store_quad(at + columns, q);
      store_quad(at + 2 * columns, rest_of(q));
    } else if constexpr (Form == OperandForm::split_pair) {
      store_quad(at + columns, rest_of(q));
    }
  }
}

}  // namespace stofm::kernels
