// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows of the encoder block, normalised:
///   embedding:  z_i = (word[token_i] + type_0) + position[place_i]
///   residual:   z_i = (x_i + b) * keep / (1 - p) + residual_i
///   both:       y_i = (z_i - mean z_i) / sqrt(var z_i + eps) * gamma + beta
/// y is written as float32 (the residual stream) and, in the same pass, in the operand form of the next
/// product. A warp owns a row and holds it in registers: mean first, then the squares of what is left, each
/// summed over the lanes in a fixed order, in float32. No shared memory. Deterministic. Limited by bytes: per
/// element 8 read (x, residual), 4 + 2 to 6 written.
/// *Source* SPEC section 2 (post-LN BERT, eps after the sum); dropout as core/random_key.hpp.

#include "stofm/kernels/encoder_block/row_registers.cuh"

namespace stofm::kernels {

/// What both kernels need and write.
struct NormOutput {
  const float* gamma = nullptr;  // [columns]
  const float* beta = nullptr;   // [columns]
  float eps = 0.0F;
  float* y = nullptr;       // [rows, columns] dense, or null
  void* operand = nullptr;  // dense operand [rows, columns], or null
  float* sum = nullptr;     // [rows, columns] dense: z, kept for backward, or null
  std::int64_t rows = 0, columns = 0;
  DropoutParams dropout = {};  // of y, behind the norm
};

struct EmbeddingNormParams {
  const std::int32_t* tokens = nullptr;  // [rows]
  const std::int32_t* places = nullptr;  // [rows] position of each within its sequence
  const float* words = nullptr;          // [vocabulary, columns]
  const float* positions = nullptr;      // [longest, columns]
  const float* type = nullptr;           // [columns]: token type 0
  NormOutput out;
};

template <class Source>
struct ResidualNormParams {
  const Source* x = nullptr;        // [rows, columns] dense
  const float* bias = nullptr;      // [columns] or null
  const float* residual = nullptr;  // [rows, columns] dense; may be out.y
  DropoutParams dropout;            // of x + bias
  NormOutput out;
};

namespace detail {

/// Normalises one row that a warp holds and writes it.
template <OperandForm Form, int Chunks>
__device__ __forceinline__ void norm_row(const NormOutput& out, std::int64_t row, Quad (&z)[Chunks]) {
  float sum = 0.0F;
  STOFM_UNROLL
  for (int c = 0; c < Chunks; ++c) {
    const int column = column_of_chunk(c);
    if (column >= out.columns) continue;
    sum += quad_sum(z[c]);
    if (out.sum != nullptr) store_quad(out.sum + row * out.columns + column, z[c]);
  }
  const float factor = centre_row(z, sum, out.columns, out.eps);
  STOFM_UNROLL
  for (int c = 0; c < Chunks; ++c) {
    const int column = column_of_chunk(c);
    if (column >= out.columns) continue;
    const Quad gamma = load_quad(out.gamma + column), beta = load_quad(out.beta + column);
    Quad y;
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) y.v[i] = z[c].v[i] * factor * gamma.v[i] + beta.v[i];
    if (out.dropout.threshold > 0) drop_quad(out.dropout, row * out.columns + column, y);
    if (out.y != nullptr) store_quad(out.y + row * out.columns + column, y);
    if (out.operand != nullptr) store_operand<Form>(out.operand, row, out.columns, column, y);
  }
}

}  // namespace detail

template <OperandForm Form, int Chunks>
static __global__ void embedding_norm_kernel(const EmbeddingNormParams p) {
  const std::int64_t row =
      std::int64_t(blockIdx.x) * encoder_block::RowPolicy::warps + static_cast<int>(threadIdx.x) / 32;
  if (row >= p.out.rows) return;  // whole warps
  const std::int64_t columns = p.out.columns, token = p.tokens[row], place = p.places[row];
  Quad z[Chunks] = {};  // columns past the end stay 0
  STOFM_UNROLL
  for (int c = 0; c < Chunks; ++c) {
    const int column = column_of_chunk(c);
    if (column >= columns) continue;
    const Quad word = load_quad(p.words + token * columns + column),
               position = load_quad(p.positions + place * columns + column),
               type = load_quad(p.type + column);
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) z[c].v[i] = (word.v[i] + type.v[i]) + position.v[i];
  }
  detail::norm_row<Form, Chunks>(p.out, row, z);
}

template <OperandForm Form, int Chunks, class Source>
static __global__ void residual_norm_kernel(const ResidualNormParams<Source> p) {
  const std::int64_t row =
      std::int64_t(blockIdx.x) * encoder_block::RowPolicy::warps + static_cast<int>(threadIdx.x) / 32;
  if (row >= p.out.rows) return;  // whole warps
  const std::int64_t columns = p.out.columns;
  Quad z[Chunks] = {};  // columns past the end stay 0
  STOFM_UNROLL
  for (int c = 0; c < Chunks; ++c) {
    const int column = column_of_chunk(c);
    if (column >= columns) continue;
    const std::int64_t at = row * columns + column;
    Quad x = load_quad(p.x + at);
    const Quad residual = load_quad(p.residual + at);
    if (p.bias != nullptr) {
      const Quad bias = load_quad(p.bias + column);
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) x.v[i] += bias.v[i];
    }
    if (p.dropout.threshold > 0) drop_quad(p.dropout, at, x);
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) z[c].v[i] = x.v[i] + residual.v[i];
  }
  detail::norm_row<Form, Chunks>(p.out, row, z);
}

}  // namespace stofm::kernels
