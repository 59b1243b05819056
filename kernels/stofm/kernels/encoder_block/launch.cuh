// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the row kernels of the encoder block: the form of the operand and the width choose the kernel.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/encoder_block/convert.cuh"
#include "stofm/kernels/encoder_block/row_norm.cuh"

namespace stofm::kernels {

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
inline LaunchConfig row_config(std::int64_t rows, backend::CudaStream stream, const char* name) {
  using Policy = encoder_block::RowPolicy;
  return {.grid = {blocks(rows, Policy::warps)}, .block = {Policy::threads}, .stream = stream, .name = name};
}

}  // namespace detail

/// out = activation(x[rows_of] + bias) as an operand. Columns: a multiple of 4.
template <class Source>
void launch_convert(OperandForm form, Activation activation, const ConvertParams<Source>& params,
                    backend::CudaStream stream) {
  using Policy = encoder_block::ElementPolicy;
  const LaunchConfig config{.grid = {blocks(params.rows * (params.columns / 4), Policy::threads)},
                            .block = {Policy::threads},
                            .stream = stream,
                            .name = "convert"};
  detail::for_operand_form(form, [&]<OperandForm Form>() {
    if (activation == Activation::relu)
      return launch(convert_kernel<Form, Activation::relu, Source>, config, params);
    if (activation == Activation::gelu)
      return launch(convert_kernel<Form, Activation::gelu, Source>, config, params);
    launch(convert_kernel<Form, Activation::identity, Source>, config, params);
  });
}

/// \param form of out.operand
inline void launch_embedding_norm(OperandForm form, const EmbeddingNormParams& params,
                                  backend::CudaStream stream) {
  detail::for_left_form(form, [&]<OperandForm Form>() {
    detail::for_row_chunks(params.out.columns, [&]<int Chunks>() {
      launch(embedding_norm_kernel<Form, Chunks>,
             detail::row_config(params.out.rows, stream, "embedding_norm"), params);
    });
  });
}

template <class Source>
void launch_residual_norm(OperandForm form, const ResidualNormParams<Source>& params,
                          backend::CudaStream stream) {
  detail::for_left_form(form, [&]<OperandForm Form>() {
    detail::for_row_chunks(params.out.columns, [&]<int Chunks>() {
      launch(residual_norm_kernel<Form, Chunks, Source>,
             detail::row_config(params.out.rows, stream, "residual_norm"), params);
    });
  });
}

}  // namespace stofm::kernels
