// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a matrix product is, in plain host C++: one `GemmProblem` is one call of the library behind the seam
/// (cuBLASLt on a device, loops in the emulator); `Operand` and `LinearProduct` put the precision classes on
/// top of it.
///
/// A float matrix X meets the tensor cores in one of these forms, `columns` wide each:
///     float32      X
///     bfloat16     hi = bf16(X)
///     split_left   rows of hi | lo | hi,   lo = bf16(X - hi)     (activations)
///     split_right  rows of hi | hi | lo                          (weights; gradients of products)
///     split_stack  hi, lo, hi one below the other                (weights, for the gradient of the input)
///     split_pair   rows of hi | lo                               (what attention reads; not for products)
/// so that each product is one of bfloat16 numbers with three times as many terms, hi hi + lo hi + hi lo; lo
/// lo, below 2^-16 of the result, is left out:
///     nt  X W^T   a left X and a right W, along their rows
///     nn  G W     a right G and a stacked W
///     tn  G^T X   a right G and a left X, read as matrices of three times the rows: hi^T hi, hi^T lo, lo^T
///     hi

#include <cstdint>

#include "stofm/backend/cuda/precision.hpp"

namespace stofm::kernels {

using backend::Precision;

enum class GemmElement { float32, bfloat16 };

/// D [m, n] from A and B, all row-major; A and B as they are stored:
enum class GemmForm {
  nt,  ///< A [m, k], B [n, k]: D = A B^T, a linear layer forward
  nn,  ///< A [m, k], B [k, n]: D = A B, the gradient of its input
  tn,  ///< A [k, m], B [k, n]: D = A^T B, the gradient of its weights
};

enum class GemmEpilogue { none, bias, bias_relu };

/// D = epilogue(alpha * product + beta * D). Strides are distances between rows in elements.
struct GemmProblem {
  GemmForm form = GemmForm::nt;
  std::int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  std::int64_t stride_a = 0;
  const void* b = nullptr;
  std::int64_t stride_b = 0;
  void* d = nullptr;
  std::int64_t stride_d = 0;
  GemmElement operands = GemmElement::float32;  ///< of A and B
  GemmElement result = GemmElement::float32;    ///< of D
  bool tf32 = false;                            ///< float32 operands only: round them for the tensor cores
  float alpha = 1.0F, beta = 0.0F;
  GemmEpilogue epilogue = GemmEpilogue::none;
  const void* bias = nullptr;  ///< [n], of the type of D
};

enum class OperandForm { float32, bfloat16, split_left, split_right, split_stack, split_pair };

/// The form that a precision class wants its activations in, or its weights and gradients.
constexpr OperandForm left_form(Precision precision) {
  if (precision == Precision::bf16) return OperandForm::bfloat16;
  return precision == Precision::split_bf16 ? OperandForm::split_left : OperandForm::float32;
}
constexpr OperandForm right_form(Precision precision) {
  return precision == Precision::split_bf16 ? OperandForm::split_right : left_form(precision);
}
constexpr bool is_split(OperandForm form) {
  return form != OperandForm::float32 && form != OperandForm::bfloat16;
}
constexpr std::int64_t operand_element_bytes(OperandForm form) {
  return form == OperandForm::float32 ? 4 : 2;
}
/// Elements that hold a row of `columns` values, and bytes of a dense matrix.
constexpr std::int64_t operand_row(OperandForm form, std::int64_t columns) {
  if (form == OperandForm::split_pair) return 2 * columns;
  return is_split(form) ? 3 * columns : columns;
}
constexpr std::int64_t operand_bytes(OperandForm form, std::int64_t rows, std::int64_t columns) {
  return rows * operand_row(form, columns) * operand_element_bytes(form);
}

/// A matrix in one of the forms. `stride`: elements from one stored row to the next.
struct Operand {
  const void* data = nullptr;
  std::int64_t rows = 0, columns = 0, stride = 0;
  OperandForm form = OperandForm::float32;
};

constexpr Operand dense_operand(const void* data, std::int64_t rows, std::int64_t columns, OperandForm form) {
  return {data, rows, columns, form == OperandForm::split_stack ? columns : operand_row(form, columns), form};
}

/// D (+)= A and B as `form` says, plus bias, of operands in any of the forms (both split or both not).
struct LinearProduct {
  GemmForm form = GemmForm::nt;
  Operand a, b;
  void* d = nullptr;
  std::int64_t stride_d = 0;
  GemmElement result = GemmElement::float32;  ///< bfloat16 only where the operands are bfloat16
  bool tf32 = false;
  bool accumulate = false;  ///< add to what D holds
  GemmEpilogue epilogue = GemmEpilogue::none;
  const void* bias = nullptr;  ///< [columns of D], of the type of D
};

}  // namespace stofm::kernels
