// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How products of the SE(2) Transformer end (row_product/row_product.cuh), each in the place of a pass over
/// the product's rows:
///   StoreHeads           (x W^T + b) as pair attention reads q, k, v
///   StoreActivated       dropout(act(x W^T + b)) in the form of the next product; x W^T + b for backward
///   StoreSlopes          dropout(g W) act'(h) in the form of the next product, and its sums over rows
///   StoreGradientHeads   g W as pair attention's backward reads dy, and its row products with y
/// A half warp has 64 columns of one row.
/// and their launches; which widths they take: row_product_takes().

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/model/activation_rows.cuh"
#include "stofm/kernels/model/launch.cuh"
#include "stofm/kernels/pair_attention/policy.hpp"
#include "stofm/kernels/row_product/row_product.cuh"

namespace stofm::kernels::se2 {

constexpr int parts_of(OperandForm form) { return is_split(form) ? 2 : 1; }

/// Heads of a matrix [nodes, heads * head_dim], packed as pack.cuh does: [parts][heads][nodes][padded]. Heads
/// are a multiple of four wide.
struct PackedHeads {
  std::int64_t nodes = 0;
  int heads = 0, head_dim = 0, padded = 0;

  template <int Parts>
  __device__ void put(void* to, std::int64_t node, int column, const Quad& q) const {
    const int head = column / head_dim, within = column % head_dim;
    bfloat16* const at = static_cast<bfloat16*>(to) + (head * nodes + node) * padded + within;
    const std::int64_t low = heads * nodes * padded;
    store_quad(at, q);
    if constexpr (Parts == 2) store_quad(at + low, rest_of(q));
    if (within + 4 < head_dim) return;
    for (int pad = 4; within + pad < padded; pad += 4) {  // whoever has a head's last columns
      store_quad(at + pad, Quad{});
      if constexpr (Parts == 2) store_quad(at + low + pad, Quad{});
    }
  }
};

template <int Parts>
struct StoreHeads {
  static constexpr int parts = Parts;
  static constexpr bool sums = false;
  const float* bias = nullptr;  // [3 * heads * head_dim]
  void* to[3] = {};             // q, k, v
  float query_factor = 1.0F;
  PackedHeads place;

  __device__ Quad operator()(std::int64_t row, std::int64_t column, Quad q, bool valid) const {
    if (!valid) return {};
    const int width = place.heads * place.head_dim, which = static_cast<int>(column) / width;
    const Quad b = load_quad(bias + column);
    const float factor = which == 0 ? query_factor : 1.0F;
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) q.v[i] = (q.v[i] + b.v[i]) * factor;
    place.put<Parts>(which == 0   ? to[0]
                     : which == 1 ? to[1]
                                  : to[2],
                     row, static_cast<int>(column) % width, q);
    return {};
  }
};

template <OperandForm Form, Activation Act>
struct StoreActivated {
  static constexpr int parts = parts_of(Form);
  static constexpr bool sums = false;
  const float* bias = nullptr;  // [columns]
  float* kept = nullptr;        // [rows, columns] what the activation saw, or null
  void* operand = nullptr;      // dense operand [rows, columns]
  PackedDropout dropout;
  std::int64_t columns = 0;

  __device__ Quad operator()(std::int64_t row, std::int64_t column, Quad q, bool valid) const {
    if (!valid) return {};
    const Quad b = load_quad(bias + column);
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) q.v[i] += b.v[i];
    if (kept != nullptr) store_quad(kept + row * columns + column, q);
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) q.v[i] = activated<Act>(q.v[i]);
    drop_quad(dropout, row, columns, column, q);
    store_operand<Form>(operand, row, columns, column, q);
    return {};
  }
};

template <OperandForm Form, Activation Act>
struct StoreSlopes {
  static constexpr int parts = parts_of(Form);
  static constexpr bool sums = true;
  const float* h = nullptr;  // [rows, columns] what the activation saw
  void* operand = nullptr;   // dense operand [rows, columns]
  PackedDropout dropout;
  std::int64_t columns = 0;

  __device__ Quad operator()(std::int64_t row, std::int64_t column, Quad q, bool valid) const {
    if (!valid) return {};
    drop_quad(dropout, row, columns, column, q);
    const Quad seen = load_quad(h + row * columns + column);
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) q.v[i] *= activation_slope<Act>(seen.v[i]);
    store_operand<Form>(operand, row, columns, column, q);
    return q;
  }
};

template <int Parts>
struct StoreGradientHeads {
  static constexpr int parts = Parts;
  static constexpr bool sums = false;
  const float* y = nullptr;   // [nodes, heads * head_dim]
  void* to = nullptr;         // packed
  float* products = nullptr;  // [heads, nodes] <g W, y> of a head
  PackedHeads place;          // 4, 8, 16, 32 or 64 wide: a head lies in one tile, its quads in whole lanes

  static constexpr bool takes(std::int64_t head_dim) {
    return head_dim == 4 || head_dim == 8 || head_dim == 16 || head_dim == 32 || head_dim == 64;
  }
  __device__ Quad operator()(std::int64_t row, std::int64_t column, const Quad& q, bool valid) const {
    float product = 0.0F;
    if (valid) {
      const Quad seen = load_quad(y + row * (place.heads * place.head_dim) + column);
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) product += q.v[i] * seen.v[i];
    }
    product = warp_sum(product, place.head_dim / 4);
    if (!valid) return {};
    const int at = static_cast<int>(column);
    if (at % place.head_dim == 0) products[at / place.head_dim * place.nodes + row] = product;
    place.put<Parts>(to, row, at, q);
    return {};
  }
};

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
