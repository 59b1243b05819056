// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows where the parts of a layer meet, normalised, for both encoders:
///   embedding:  z_i = (word[token_i] + type_0) + position[place_i]
///   residual:   z_i = (x_i + b + type_i) * keep / (1 - p) + residual_i
///   both:       y_i = (z_i - mean z_i) / sqrt(var z_i + eps) * gamma + beta, or z_i itself
/// y is written as float32 (the residual stream) and, in the same pass, in the operand form of the next
/// product. A warp owns a row and holds it in registers: mean first, then the squares of what is left, each
/// summed over the lanes in a fixed order, in float32. No shared memory. Deterministic. Limited by bytes: per
/// element 8 read (x, residual), 4 + 2 to 6 written.
/// *Source* SPEC section 2 (post-LN BERT, eps after the sum), section 5; dropout as core/random_key.hpp, its
/// places in model/se2_training.hpp.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/encoder_block/row_registers.cuh"

namespace stofm::kernels {

/// What both kernels need and write.
struct NormOutput {
  const float* gamma = nullptr;  // [columns]; null: y is z
  const float* beta = nullptr;   // [columns]
  float eps = 0.0F;
  float* y = nullptr;       // [rows, columns] dense, or null
  void* operand = nullptr;  // dense operand [rows, columns], or null
  float* sum = nullptr;     // [rows, columns] dense: z, kept for backward or as the residual stream, or null
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

template <class Source, class Dropout = DropoutParams>
struct ResidualNormParams {
  const Source* x = nullptr;            // [rows, columns] dense
  const float* bias = nullptr;          // [columns] or null
  const float* type_table = nullptr;    // [4, columns], or null
  const std::int32_t* types = nullptr;  // [rows], with type_table
  const float* residual = nullptr;      // [rows, columns] dense, or null; may be out.y or out.sum
  Dropout dropout;                      // of x + bias + type
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
  const float factor = out.gamma != nullptr ? centre_row(z, sum, out.columns, out.eps) : 1.0F;
  STOFM_UNROLL
  for (int c = 0; c < Chunks; ++c) {
    const int column = column_of_chunk(c);
    if (column >= out.columns) continue;
    Quad y = z[c];
    if (out.gamma != nullptr) {
      const Quad gamma = load_quad(out.gamma + column), beta = load_quad(out.beta + column);
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) y.v[i] = z[c].v[i] * factor * gamma.v[i] + beta.v[i];
    }
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

template <OperandForm Form, int Chunks, class Source, class Dropout>
static __global__ void __launch_bounds__(encoder_block::RowPolicy::threads)
    residual_norm_kernel(const ResidualNormParams<Source, Dropout> p) {
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
    if (p.bias != nullptr) {
      const Quad bias = load_quad(p.bias + column);
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) x.v[i] += bias.v[i];
    }
    if (p.type_table != nullptr) {
      const Quad type = load_quad(p.type_table + std::int64_t{p.types[row]} * columns + column);
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) x.v[i] += type.v[i];
    }
    drop_quad(p.dropout, row, columns, column, x);
    if (p.residual != nullptr) {
      const Quad residual = load_quad(p.residual + at);
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) x.v[i] += residual.v[i];
    }
    z[c] = x;
  }
  detail::norm_row<Form, Chunks>(p.out, row, z);
}

// ---- launches: the form of the operand and the width choose the kernel

namespace detail {
/// The forms that the norm kernels write: those of activations. \throws UsageError STOFM-6046.
template <class Body>
void for_left_form(OperandForm form, const Body& body) {
  if (form == OperandForm::float32) return body.template operator()<OperandForm::float32>();
  if (form == OperandForm::bfloat16) return body.template operator()<OperandForm::bfloat16>();
  if (form == OperandForm::split_left) return body.template operator()<OperandForm::split_left>();
  throw UsageError({"STOFM-6046", "", "[encoder_block]", "a form of weights", "a form of activations",
                    "Please report this."});
}
/// Calls body.template operator()<Chunks>() for rows of so many columns. \throws UsageError STOFM-6046.
template <class Body>
void for_row_chunks(std::int64_t columns, const Body& body) {
  using Policy = encoder_block::RowPolicy;
  if (!Policy::supports(columns))
    throw UsageError({"STOFM-6046", "", "[encoder_block]", concat("rows of ", columns, " columns"),
                      concat("a multiple of 4, at most ", Policy::widest_row),
                      "Use --device cpu for this model."});
  switch (Policy::chunks(columns)) {
    case 1:
      return body.template operator()<1>();
    case 2:
      return body.template operator()<2>();
    case 4:
      return body.template operator()<4>();
    default:
      return body.template operator()<8>();
  }
}
}  // namespace detail

/// \param form of out.operand
inline void launch_embedding_norm(OperandForm form, const EmbeddingNormParams& params,
                                  backend::CudaStream stream) {
  detail::for_left_form(form, [&]<OperandForm Form>() {
    detail::for_row_chunks(params.out.columns, [&]<int Chunks>() {
      launch(embedding_norm_kernel<Form, Chunks>,
             per_row<encoder_block::RowPolicy>(params.out.rows, stream, "embedding_norm"), params);
    });
  });
}

template <class Source, class Dropout>
void launch_residual_norm(OperandForm form, const ResidualNormParams<Source, Dropout>& params,
                          backend::CudaStream stream) {
  detail::for_left_form(form, [&]<OperandForm Form>() {
    detail::for_row_chunks(params.out.columns, [&]<int Chunks>() {
      launch(residual_norm_kernel<Form, Chunks, Source, Dropout>,
             per_row<encoder_block::RowPolicy>(params.out.rows, stream, "residual_norm"), params);
    });
  });
}

}  // namespace stofm::kernels
