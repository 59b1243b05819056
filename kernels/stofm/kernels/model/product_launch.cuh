// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the products that end in a pass of their own (product_stores.cuh); which widths they take:
/// row_product_takes().

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/model/launch.cuh"
#include "stofm/kernels/model/product_stores.cuh"
#include "stofm/kernels/pair_attention/policy.hpp"
#include "stofm/kernels/row_product/launch.cuh"

namespace stofm::kernels::se2 {

/// Calls body.operator()<Form>() with `Split` or bfloat16: the forms that row products have.
template <OperandForm Split, class Body>
void with_parts(OperandForm form, const Body& body) {
  if (is_split(form)) return body.template operator()<Split>();
  body.template operator()<OperandForm::bfloat16>();
}

inline PackedHeads packed_heads(const backend::PairAttentionSizes& sizes, std::int64_t nodes) {
  return {nodes, static_cast<int>(sizes.heads), static_cast<int>(sizes.head_dim),
          pair_padded_width(sizes.head_dim)};
}

/// q, k, v = x W^T + b, packed. \param bias [3 * heads * head_dim]
inline void launch_product_to_heads(CudaStream stream, const Operand& x, const Operand& weight,
                                    const float* bias, const backend::PairAttentionSizes& sizes, void* q,
                                    void* k, void* v) {
  with_parts<OperandForm::split_left>(x.form, [&]<OperandForm Form>() {
    const StoreHeads<parts_of(Form)> store{bias,
                                           {q, k, v},
                                           static_cast<float>(sizes.scale * static_cast<double>(log2_e)),
                                           packed_heads(sizes, x.rows)};
    launch_row_product<false>(stream, x, weight, store, nullptr, "se2_product_to_heads");
  });
}

/// What activate_kernel does to h = x W^T, at the end of the product.
inline void launch_product_activated(CudaStream stream, Activation activation, const Operand& x,
                                     const Operand& weight, const ActivateParams& p) {
  with_parts<OperandForm::split_left>(x.form, [&]<OperandForm Form>() {
    with_activation(activation, [&]<Activation Act>() {
      const StoreActivated<Form, Act> store{p.bias, p.keep ? p.h : nullptr, p.operand, p.dropout, p.columns};
      launch_row_product<false>(stream, x, weight, store, nullptr, "se2_product_activated");
    });
  });
}

/// What gradient_rows_kernel does to grad W, at the end of the product; grad_bias += sums of rows. Of `sums`:
/// RowProductPolicy::row_tiles(rows) * columns floats.
inline void launch_product_to_slopes(CudaStream stream, Activation activation, const Operand& grad,
                                     const Operand& weight, const GradientRowsParams& p, PartialSums& sums,
                                     float* grad_bias) {
  float* const partial = sums.take(RowProductPolicy::row_tiles(p.rows), p.columns, p.columns, grad_bias);
  with_parts<OperandForm::split_right>(grad.form, [&]<OperandForm Form>() {
    with_activation(activation, [&]<Activation Act>() {
      const StoreSlopes<Form, Act> store{p.h, p.operand, p.dropout, p.columns};
      launch_row_product<true>(stream, grad, weight, store, partial, "se2_product_to_slopes");
    });
  });
}

/// dy = grad W, packed, and its row products with y. \param products [heads, rows]
inline void launch_product_to_gradient_heads(CudaStream stream, const Operand& grad, const Operand& weight,
                                             const backend::PairAttentionSizes& sizes, const float* y,
                                             void* packed, float* products) {
  with_parts<OperandForm::split_right>(grad.form, [&]<OperandForm Form>() {
    const StoreGradientHeads<parts_of(Form)> store{y, packed, products, packed_heads(sizes, grad.rows)};
    launch_row_product<true>(stream, grad, weight, store, nullptr, "se2_product_to_gradient_heads");
  });
}

}  // namespace stofm::kernels::se2
