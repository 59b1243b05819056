// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of self-attention over packed sequences. Per head, with P = softmax(scale q k^T), y = P v and
/// d_i = <grad_y_i, y_i>: grad_v = P^T grad_y, S = P * (grad_y v^T - d), grad_q = scale S k, grad_k = scale
/// S^T q. Source: Dao et al., "FlashAttention", 2022, appendix B (d from the output, P computed again).

#include <span>

#include "stofm/backend/cpu/varlen_attention_gradient.hpp"
#include "stofm/ops/varlen_attention.hpp"

namespace stofm::ops {

using stofm::backend::VarlenAttentionGradients;

/// *Shapes* grads: three of [T, H d], overwritten; grad_y, y, q, k, v: [T, H d], dense rows all; offsets:
/// [sequences + 1]. `y` is the result of `varlen_attention_into`. \throws ShapeError. *Cost* 10 d sum_s T_s^2
/// per head; scratch O(T_s) times a block of 64 rows per thread. *Deterministic* yes, for any number of
/// threads.
template <Computed T>
void varlen_attention_gradient_into(const VarlenAttentionGradients<T>& grads, Input<T> grad_y, Input<T> y,
                                    Input<T> q, Input<T> k, Input<T> v, std::span<const std::int64_t> offsets,
                                    AttentionOptions options) {
  const char* op = "varlen_attention_gradient";
  detail::require_rank(op, "q", q, 2);
  auto check = [&](const char* name, const auto& rows) {
    detail::require_same_shape(op, name, rows, "q", q);
    detail::require_dense_rows(op, name, rows);
  };
  check("grad_q", grads.q);
  check("grad_k", grads.k);
  check("grad_v", grads.v);
  check("grad_y", grad_y);
  check("y", y);
  check("q", q);
  check("k", k);
  check("v", v);
  if (options.heads < 1 || q.dim(1) % options.heads != 0)
    detail::refuse(op, concat(options.heads, " heads for q ", to_string(q.shape)),
                   "a number of heads that divides the columns", "STOFM-1105", "Check the number of heads.");
  detail::check_offsets(op, "offsets", offsets, q.dim(0));
  backend::varlen_attention_gradient(Cpu{}, grads, grad_y, y, q, k, v, offsets, options);
}

}  // namespace stofm::ops
