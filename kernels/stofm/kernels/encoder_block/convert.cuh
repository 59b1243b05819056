// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Elementwise kernels that end in an operand form:
///   convert:          out = x[rows]                       (also: gather rows, split, round)
///   bias_activation:  out = act(x + b),  act one of identity, relu, gelu = x (1 + erf(x / sqrt 2)) / 2
/// A thread owns four columns of one row; no shared memory, no synchronisation. Deterministic. Limited by
/// bytes: 4 (or 2) read and 2 to 6 written per element.

#include "stofm/core/op_options.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/encoder_block/operand_store.cuh"
#include "stofm/kernels/encoder_block/policy.hpp"

namespace stofm::kernels {

template <class Source>
struct ConvertParams {
  const Source* x = nullptr;  // [*, columns] with `stride` between rows
  std::int64_t stride = 0;
  const std::int64_t* rows_of = nullptr;  // [rows] which row of x each is, or null: row i is row i
  const float* bias = nullptr;            // [columns] or null
  void* out = nullptr;                    // dense operand [rows, columns]
  std::int64_t rows = 0, columns = 0;
};

template <OperandForm Form, Activation Act, class Source>
static __global__ void convert_kernel(const ConvertParams<Source> p) {
  const std::int64_t quads = p.columns / 4;
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= p.rows * quads) return;
  const std::int64_t row = at / quads, column = 4 * (at % quads);
  const std::int64_t from = p.rows_of != nullptr ? p.rows_of[row] : row;
  Quad q = load_quad(p.x + from * p.stride + column);
  if (p.bias != nullptr) {
    const Quad b = load_quad(p.bias + column);
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) q.v[i] += b.v[i];
  }
  if constexpr (Act == Activation::relu) {
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) q.v[i] = q.v[i] < 0.0F ? 0.0F : q.v[i];
  } else if constexpr (Act == Activation::gelu) {
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) q.v[i] = 0.5F * q.v[i] * (1.0F + erff(q.v[i] * 0.70710678118654752440F));
  }
  store_operand<Form>(p.out, row, p.columns, column, q);
}

namespace detail {
/// Calls body.template operator()<Form>() for a form that activations are written in.
template <class Body>
void for_operand_form(OperandForm form, const Body& body) {
  switch (form) {
    case OperandForm::float32:
      return body.template operator()<OperandForm::float32>();
    case OperandForm::bfloat16:
      return body.template operator()<OperandForm::bfloat16>();
    case OperandForm::split_left:
      return body.template operator()<OperandForm::split_left>();
    case OperandForm::split_right:
      return body.template operator()<OperandForm::split_right>();
    case OperandForm::split_pair:
      return body.template operator()<OperandForm::split_pair>();
    case OperandForm::split_stack:
      throw UsageError(
          {"STOFM-6046", "", "[encoder_block]", "stacked weights", "a form of rows", "Please report this."});
  }
}
}  // namespace detail

/// out = activation(x[rows_of] + bias) as an operand. Columns: a multiple of 4.
template <class Source>
void launch_convert(OperandForm form, Activation activation, const ConvertParams<Source>& params,
                    backend::CudaStream stream) {
  const LaunchConfig config = per_item(params.rows * (params.columns / 4), stream, "convert");
  detail::for_operand_form(form, [&]<OperandForm Form>() {
    if (activation == Activation::relu)
      return launch(convert_kernel<Form, Activation::relu, Source>, config, params);
    if (activation == Activation::gelu)
      return launch(convert_kernel<Form, Activation::gelu, Source>, config, params);
    launch(convert_kernel<Form, Activation::identity, Source>, config, params);
  });
}

}  // namespace stofm::kernels
