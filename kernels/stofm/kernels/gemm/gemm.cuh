// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The library behind the products: `class Gemm` with `run(const GemmProblem&, CudaStream)`, over cuBLASLt,
/// or as loops where the kernels are emulated on the host; and products of operands in any form
/// (gemm/problem.hpp) as one or three of its products.

#if defined(STOFM_KERNEL_EMULATOR)
#include "stofm/kernels/gemm/gemm_loops.hpp"
#else
#include "stofm/kernels/gemm/gemm_cublaslt.cuh"
#endif
#include "stofm/backend/cuda/stream.hpp"

namespace stofm::kernels {

namespace detail {
/// Element `offset` of an operand's first row.
inline const void* operand_at(const Operand& operand, std::int64_t offset) {
  return static_cast<const char*>(operand.data) + offset * operand_element_bytes(operand.form);
}
/// Where the low parts begin in a stored row.
constexpr std::int64_t low_part(const Operand& operand) {
  return operand.form == OperandForm::split_left ? operand.columns : 2 * operand.columns;
}
}  // namespace detail

/// Queues the product on `stream`. One product of the library, except for split operands that do not meet as
/// problem.hpp says: then three, the last two added to D in float32. Split parts lie dense in tn and nn.
/// Deterministic. *Cost* 2 m n k, times 3 for split operands.
template <class Gemm>
void linear_product(Gemm& gemm, backend::CudaStream stream, const LinearProduct& p) {
  GemmProblem problem;
  problem.form = p.form;
  problem.m = p.form == GemmForm::tn ? p.a.columns : p.a.rows;
  problem.n = p.form == GemmForm::nt ? p.b.rows : p.b.columns;
  problem.k = p.form == GemmForm::tn ? p.a.rows : p.a.columns;
  problem.a = p.a.data;
  problem.stride_a = p.a.stride;
  problem.b = p.b.data;
  problem.stride_b = p.b.stride;
  problem.d = p.d;
  problem.stride_d = p.stride_d;
  problem.operands = p.a.form == OperandForm::float32 ? GemmElement::float32 : GemmElement::bfloat16;
  problem.result = p.result;
  problem.tf32 = p.tf32;
  problem.beta = p.accumulate ? 1.0F : 0.0F;
  problem.epilogue = p.epilogue;
  problem.bias = p.bias;
  if (!is_split(p.a.form)) return gemm.run(problem, stream);
  if (p.form == GemmForm::nt && p.a.form == OperandForm::split_left && p.b.form == OperandForm::split_right) {
    problem.k *= 3;
    return gemm.run(problem, stream);
  }
  if (p.form == GemmForm::nn && p.a.form == OperandForm::split_right &&
      p.b.form == OperandForm::split_stack) {
    problem.k *= 3;
    return gemm.run(problem, stream);
  }
  if (p.form == GemmForm::tn && p.a.form == OperandForm::split_right && p.b.form == OperandForm::split_left &&
      p.a.stride == 3 * p.a.columns && p.b.stride == 3 * p.b.columns) {
    problem.k *= 3;
    problem.stride_a = p.a.columns;
    problem.stride_b = p.b.columns;
    return gemm.run(problem, stream);
  }
  const void* const low_a = detail::operand_at(p.a, detail::low_part(p.a));
  const void* const low_b = detail::operand_at(p.b, detail::low_part(p.b));
  // The small terms first; the bias and the relu, which needs the whole sum, last.
  problem.epilogue = GemmEpilogue::none;
  problem.a = low_a;
  gemm.run(problem, stream);
  problem.beta = 1.0F;
  problem.a = p.a.data;
  problem.b = low_b;
  gemm.run(problem, stream);
  problem.b = p.b.data;
  problem.epilogue = p.epilogue;
  gemm.run(problem, stream);
}

}  // namespace stofm::kernels
