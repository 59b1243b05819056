// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of attention over packed sequences: the width of a head, alignment, dropout and the form of y
/// choose the kernel.

#include <numbers>

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/sequence_attention/backward.cuh"
#include "stofm/kernels/sequence_attention/forward.cuh"
#include "stofm/kernels/sequence_attention/request.hpp"

namespace stofm::kernels {

namespace detail {

/// Whether rows and heads of all matrices start at multiples of 16 bytes.
template <class Element>
bool attention_is_wide(std::int64_t head_dim, std::initializer_list<AttentionMatrix> matrices) {
  constexpr std::int64_t elements = 16 / sizeof(Element);
  bool wide = head_dim % elements == 0;
  for (const AttentionMatrix& m : matrices)
    wide = wide && m.stride % elements == 0 && m.low % elements == 0 && is_aligned(m.data, 16);
  return wide;
}
template <class Element>
HeadSource<Element> head_source(const AttentionMatrix& matrix) {
  return {static_cast<const Element*>(matrix.data), matrix.stride, matrix.low};
}
/// Calls body.template operator()<D, Wide>() for the padded width. Matrices that are not wide, which no
/// published size needs, take the widest kernel. \throws UsageError STOFM-6045.
template <class Body>
void for_head_dim(std::int64_t head_dim, bool wide, const Body& body) {
  if (!sequence_attention::supports_head_dim(head_dim))
    throw UsageError({"STOFM-6045", "", "[sequence_attention]", concat("heads of width ", head_dim),
                      "a multiple of 4, at most 64", "Use --device cpu for this model."});
  if (!wide) return body.template operator()<64, false>();
  const int padded = sequence_attention::padded_head_dim(head_dim);
  if (padded == 16) return body.template operator()<16, true>();
  if (padded == 32) return body.template operator()<32, true>();
  body.template operator()<64, true>();
}

template <backend::Precision P, int D, bool Wide, OperandForm Form>
void launch_attention_forward_form(const AttentionForward& r, backend::CudaStream stream) {
  using Element = typename TileLayout<P, D>::Element;
  using Policy = sequence_attention::TilePolicy;
  AttentionForwardParams<Element> params;
  params.tiles = r.tiles;
  params.q = head_source<Element>(r.q);
  params.k = head_source<Element>(r.k);
  params.v = head_source<Element>(r.v);
  params.heads = r.heads;
  params.head_dim = r.head_dim;
  params.rows = r.rows;
  params.scale_log2 = static_cast<float>(r.scale * std::numbers::log2e);
  params.dropout = r.dropout;
  params.y = r.y;
  params.log_sums = r.log_sums;
  const LaunchConfig config{.grid = {blocks(r.tile_count), static_cast<unsigned>(r.heads)},
                            .block = {Policy::threads},
                            .shared_bytes = sizeof(AttentionForwardStorage<P, D>),
                            .stream = stream,
                            .name = "attention_forward"};
  if (r.dropout.threshold > 0)
    launch(attention_forward_kernel<P, D, Form, true, Wide>, config, params);
  else
    launch(attention_forward_kernel<P, D, Form, false, Wide>, config, params);
}

}  // namespace detail

/// y in float32 or in the form that products of this precision class read.
template <backend::Precision P>
void launch_attention_forward(const AttentionForward& r, backend::CudaStream stream) {
  using Element = typename TileLayout<P, 64>::Element;
  const bool wide = detail::attention_is_wide<Element>(r.head_dim, {r.q, r.k, r.v});
  detail::for_head_dim(r.head_dim, wide, [&]<int D, bool Wide>() {
    if constexpr (P == backend::Precision::float32) {
      detail::launch_attention_forward_form<P, D, Wide, OperandForm::float32>(r, stream);
    } else {
      if (r.form == OperandForm::float32)
        detail::launch_attention_forward_form<P, D, Wide, OperandForm::float32>(r, stream);
      else
        detail::launch_attention_forward_form<P, D, Wide, left_form(P)>(r, stream);
    }
  });
}

template <backend::Precision P>
void launch_attention_backward(const AttentionBackward& r, backend::CudaStream stream) {
  using Element = typename TileLayout<P, 64>::Element;
  const bool wide = detail::attention_is_wide<Element>(r.head_dim, {r.q, r.k, r.v, r.grad_y});
  detail::for_head_dim(r.head_dim, wide, [&]<int D, bool Wide>() {
    AttentionBackwardParams<Element> params;
    params.q = detail::head_source<Element>(r.q);
    params.k = detail::head_source<Element>(r.k);
    params.v = detail::head_source<Element>(r.v);
    params.grad_y = detail::head_source<Element>(r.grad_y);
    params.heads = r.heads;
    params.head_dim = r.head_dim;
    params.rows = r.rows;
    params.scale = static_cast<float>(r.scale);
    params.scale_log2 = static_cast<float>(r.scale * std::numbers::log2e);
    params.dropout = r.dropout;
    params.log_sums = r.log_sums;
    params.row_dots = r.row_dots;
    LaunchConfig config{.grid = {blocks(r.query_tile_count), static_cast<unsigned>(r.heads)},
                        .block = {sequence_attention::TilePolicy::threads},
                        .shared_bytes = sizeof(AttentionBackwardStorage<P, D>),
                        .stream = stream,
                        .name = "attention_backward_queries"};
    params.tiles = r.query_tiles;
    params.grad_first = r.grad_q.data;
    params.stride_first = r.grad_q.stride;
    if (r.dropout.threshold > 0)
      launch(attention_backward_kernel<P, D, false, true, Wide>, config, params);
    else
      launch(attention_backward_kernel<P, D, false, false, Wide>, config, params);
    config.grid.x = blocks(r.key_tile_count);
    config.name = "attention_backward_keys";
    params.tiles = r.key_tiles;
    params.grad_first = r.grad_k.data;
    params.stride_first = r.grad_k.stride;
    params.grad_second = r.grad_v.data;
    params.stride_second = r.grad_v.stride;
    if (r.dropout.threshold > 0)
      launch(attention_backward_kernel<P, D, true, true, Wide>, config, params);
    else
      launch(attention_backward_kernel<P, D, true, false, Wide>, config, params);
  });
}

/// \param form of y: float32, bfloat16 or split_left
inline void launch_row_dots(OperandForm form, const RowDotsParams& params, backend::CudaStream stream) {
  constexpr int warps = 8;
  const LaunchConfig config{
      .grid = {blocks(params.rows, warps)}, .block = {32 * warps}, .stream = stream, .name = "row_dots"};
  if (form == OperandForm::float32)
    launch(row_dots_kernel<OperandForm::float32>, config, params);
  else if (form == OperandForm::bfloat16)
    launch(row_dots_kernel<OperandForm::bfloat16>, config, params);
  else
    launch(row_dots_kernel<OperandForm::split_left>, config, params);
}

}  // namespace stofm::kernels
