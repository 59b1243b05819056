// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the parts of a layer meet, one pass over the rows after each product:
///   z = dropout(part + bias + type) + residual,   y = LayerNorm(z), or z itself
/// z is kept for backward (or is the residual stream of pre-LN), y written as float32 and in the operand form
/// of the next product. A warp owns a row and holds it in registers: mean first, then the squares of what is
/// left, float32, in the fixed tree of warp_sum. No shared memory. *Deterministic*. *Limiter* bytes: 8 read,
/// 4 to 14 written per element. *Source* SPEC section 5; places of dropout: model/se2_training.hpp.

#include "stofm/kernels/model/packed_dropout.cuh"
#include "stofm/kernels/model/policy.hpp"

namespace stofm::kernels::se2 {

struct JunctionParams {
  const float* part = nullptr;          // [rows, columns] dense: the product without its bias
  const float* bias = nullptr;          // [columns] or null
  const float* type_table = nullptr;    // [4, columns], or null
  const std::int32_t* types = nullptr;  // [rows], with type_table
  const float* residual = nullptr;      // [rows, columns] or null
  PackedDropout dropout;
  float* z = nullptr;            // [rows, columns] or null; may be residual
  const float* gamma = nullptr;  // [columns]; null: y is z
  const float* beta = nullptr;
  float eps = 0.0F;
  float* y = nullptr;       // [rows, columns] or null; may be residual
  void* operand = nullptr;  // dense operand [rows, columns] of y, or null
  std::int64_t rows = 0, columns = 0;
};

template <OperandForm Form, int Chunks>
static __global__ void __launch_bounds__(RowPolicy::threads) junction_kernel(const JunctionParams p) {
  const std::int64_t row = std::int64_t{blockIdx.x} * RowPolicy::warps + warp();
  if (row >= p.rows) return;  // whole warps
  Quad z[Chunks];
  float sum = 0.0F;
#pragma unroll
  for (int c = 0; c < Chunks; ++c) {
    const int column = column_of_chunk(c);
    z[c] = {};  // columns past the end stay 0
    if (column >= p.columns) continue;
    const std::int64_t at = row * p.columns + column;
    z[c] = load_quad(p.part + at);
    if (p.bias != nullptr) {
      const Quad bias = load_quad(p.bias + column);
#pragma unroll
      for (int i = 0; i < 4; ++i) z[c].v[i] += bias.v[i];
    }
    if (p.type_table != nullptr) {
      const Quad type = load_quad(p.type_table + std::int64_t{p.types[row]} * p.columns + column);
#pragma unroll
      for (int i = 0; i < 4; ++i) z[c].v[i] += type.v[i];
    }
    drop_quad(p.dropout, row, p.columns, column, z[c]);
    if (p.residual != nullptr) {
      const Quad residual = load_quad(p.residual + at);
#pragma unroll
      for (int i = 0; i < 4; ++i) z[c].v[i] += residual.v[i];
    }
    if (p.z != nullptr) store_quad(p.z + at, z[c]);
    sum += quad_sum(z[c]);
  }

  // ---- normalise
  const float factor = p.gamma != nullptr ? centre_row(z, sum, p.columns, p.eps) : 1.0F;

  // ---- store
#pragma unroll
  for (int c = 0; c < Chunks; ++c) {
    const int column = column_of_chunk(c);
    if (column >= p.columns) continue;
    Quad y = z[c];
    if (p.gamma != nullptr) {
      const Quad gamma = load_quad(p.gamma + column), beta = load_quad(p.beta + column);
#pragma unroll
      for (int i = 0; i < 4; ++i) y.v[i] = z[c].v[i] * factor * gamma.v[i] + beta.v[i];
    }
    if (p.y != nullptr) store_quad(p.y + row * p.columns + column, y);
    if (p.operand != nullptr) store_operand<Form>(p.operand, row, p.columns, column, y);
  }
}

}  // namespace stofm::kernels::se2
