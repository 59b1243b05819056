// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the row kernels of the SE(2) Transformer: template arguments from sizes, grids, shared memory.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/model/activation_rows.cuh"
#include "stofm/kernels/model/junction_backward.cuh"
#include "stofm/kernels/model/partial_sums.cuh"
#include "stofm/kernels/model/pretraining_losses.cuh"

namespace stofm::kernels::se2 {

/// Calls body.operator()<Form>() for the form of this precision, Split where it splits.
template <OperandForm Split, class Body>
void with_form(Precision precision, const Body& body) {
  const OperandForm form = left_form(precision);
  if (is_split(form)) return body.template operator()<Split>();
  if (form == OperandForm::bfloat16) return body.template operator()<OperandForm::bfloat16>();
  body.template operator()<OperandForm::float32>();
}
/// For activations.
template <class Body>
void with_left_form(Precision precision, const Body& body) {
  with_form<OperandForm::split_left>(precision, body);
}
/// For weights and gradients.
template <class Body>
void with_right_form(Precision precision, const Body& body) {
  with_form<OperandForm::split_right>(precision, body);
}
template <class Body>
void with_activation(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::relu:
      return body.template operator()<Activation::relu>();
    case Activation::gelu:
      return body.template operator()<Activation::gelu>();
    default:
      return body.template operator()<Activation::identity>();
  }
}

/// Every weight of `linears` in the form of products. \param most the most elements of one
inline void launch_pack_weights(CudaStream stream, Precision precision, std::int64_t linears,
                                std::int64_t most, const PackWeightsParams& p) {
  with_right_form(precision, [&]<OperandForm Form>() {
    launch(pack_weights_kernel<Form>,
           {.grid = {blocks(most / 4, 256), static_cast<unsigned>(linears)},
            .block = {256},
            .stream = stream,
            .name = "se2_pack_weights"},
           p);
  });
}

/// Of `sums`: RowPolicy::sum_blocks(rows) * 3 * columns floats. Gradients that are null are left out.
inline void launch_junction_backward(CudaStream stream, Precision precision, JunctionBackwardParams p,
                                     PartialSums& sums, float* grad_gamma, float* grad_beta,
                                     float* grad_bias) {
  p.rows_per_block = RowPolicy::rows_per_sum_block(p.rows);
  const std::int64_t count = RowPolicy::sum_blocks(p.rows);
  p.partial = sums.take(count, 3 * p.columns, p.columns, grad_gamma, grad_beta, grad_bias);
  with_right_form(precision, [&]<OperandForm Form>() {
    kernels::detail::for_row_chunks(p.columns, [&]<int Chunks>() {
      launch(junction_backward_kernel<Form, Chunks>,
             {.grid = {blocks(count)},
              .block = {RowPolicy::threads},
              .shared_bytes = sizeof(JunctionBackwardStorage<Chunks>),
              .stream = stream,
              .name = "se2_junction_backward"},
             p);
    });
  });
}

inline void launch_activate(CudaStream stream, Precision precision, Activation activation,
                            const ActivateParams& p) {
  with_left_form(precision, [&]<OperandForm Form>() {
    with_activation(activation, [&]<Activation Act>() {
      launch(activate_kernel<Form, Act>,
             per_item(p.rows * (p.columns / 4), stream, "se2_activate"),
             p);
    });
  });
}

/// Of `sums`: RowPolicy::sum_blocks(rows) * columns floats; grad_bias += sums of rows.
inline void launch_gradient_rows(CudaStream stream, Precision precision, Activation activation,
                                 GradientRowsParams p, PartialSums& sums, float* grad_bias) {
  p.rows_per_block = RowPolicy::rows_per_sum_block(p.rows);
  const std::int64_t count = RowPolicy::sum_blocks(p.rows);
  p.partial = sums.take(count, p.columns, p.columns, grad_bias);
  with_right_form(precision, [&]<OperandForm Form>() {
    with_activation(activation, [&]<Activation Act>() {
      launch(gradient_rows_kernel<Form, Act>,
             {.grid = {blocks(count), blocks(p.columns, RowPolicy::columns_per_chunk)},
              .block = {RowPolicy::threads},
              .shared_bytes = sizeof(GradientRowsStorage),
              .stream = stream,
              .name = "se2_gradient_rows"},
             p);
    });
  });
}

/// \param form of activations: left_form() \throws UsageError STOFM-6053 for another
inline void launch_convert_rows(CudaStream stream, OperandForm form, const ConvertRowsParams& p) {
  const LaunchConfig config = per_item(p.rows * (p.columns / 4), stream, "se2_convert_rows");
  switch (form) {
    case OperandForm::bfloat16:
      return launch(convert_rows_kernel<OperandForm::bfloat16>, config, p);
    case OperandForm::split_left:
      return launch(convert_rows_kernel<OperandForm::split_left>, config, p);
    case OperandForm::float32:
      return launch(convert_rows_kernel<OperandForm::float32>, config, p);
    default:
      throw UsageError({"STOFM-6053", "", "[convert_rows]", "a form of weights", "a form of activations",
                        "Please report this."});
  }
}

inline void launch_cosine(CudaStream stream, const CosineParams& p) {
  launch(cosine_kernel,
         per_row<RowPolicy>(p.rows, stream, "se2_cosine_loss"),
         p);
}
inline void launch_head_sums(CudaStream stream, const HeadSumsParams& p) {
  launch(head_sums_kernel,
         {.grid = {p.grad_background != nullptr ? 3U : 2U},
          .block = {256},
          .shared_bytes = sizeof(HeadSumsStorage),
          .stream = stream,
          .name = "se2_head_sums"},
         p);
}
inline void launch_scatter_rows(CudaStream stream, const ScatterRowsParams& p) {
  launch(scatter_rows_kernel,
         per_item(p.rows * (p.columns / 4), stream, "se2_scatter_rows"),
         p);
}
/// Of `sums`: RowPolicy::sum_blocks(rows) * 4 * columns floats; grad_table [4, columns] += sums by type.
inline void launch_type_gradient(CudaStream stream, TypeGradientParams p, PartialSums& sums,
                                 float* grad_table) {
  p.rows_per_block = RowPolicy::rows_per_sum_block(p.rows);
  const std::int64_t count = RowPolicy::sum_blocks(p.rows);
  p.partial = sums.take(count, 4 * p.columns, 4 * p.columns, grad_table);
  launch(type_gradient_kernel,
         {.grid = {blocks(count), blocks(p.columns, 256)},
          .block = {256},
          .stream = stream,
          .name = "se2_type_gradient"},
         p);
}
inline void launch_centre_rows(CudaStream stream, const CentreRowsParams& p) {
  launch(centre_rows_kernel,
         per_row<RowPolicy>(p.rows, stream, "se2_centre_rows"),
         p);
}
/// Of `sums`: blocks * PairHeadPolicy::sums floats; `p.loss`: blocks doubles (PairHeadPolicy). The gradients
/// are added to `into` [H^2 + 2 H + 1] laid out as W0, b0, w2, b2; null: the losses alone.
inline void launch_pair_head(CudaStream stream, PairHeadParams p, PartialSums& sums, float* into) {
  const std::int64_t count = PairHeadPolicy::blocks(p.pairs), width = PairHeadPolicy::sums(p.heads);
  p.partial = sums.take(count, width, width, into);
  launch(pair_head_kernel,
         {.grid = {blocks(count)},
          .block = {PairHeadPolicy::threads},
          .shared_bytes = static_cast<std::size_t>(PairHeadPolicy::shared_bytes(p.heads)),
          .stream = stream,
          .name = "se2_pair_head"},
         p);
}

}  // namespace stofm::kernels::se2
