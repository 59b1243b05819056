// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention over packed sequences, differentiable. Per head, with P = softmax(scale q k^T), o = P v
/// and d_i = <grad_o_i, o_i>: grad_v = P^T grad_o, S = P * (grad_o v^T - d), grad_q = scale S k, grad_k =
/// scale S^T q.

#include <span>
#include <vector>

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/varlen_attention.hpp"
#include "stofm/ops/varlen_attention_gradient.hpp"

namespace stofm::autograd {

/// *Shapes* q, k, v: [T, H d], offsets: [sequences + 1], copied; result [T, H d]. *Saved* q, k, v and the
/// result: P is computed again in blocks, nothing of size T x T is kept. \throws ShapeError. *Cost* 4 d sum_s
/// T_s^2 per head forward, 10 d sum_s T_s^2 backward. *Deterministic* yes, for any number of threads.
template <ops::Computed T>
Variable<T> varlen_attention(const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
                             std::span<const std::int64_t> offsets, std::int64_t heads, double scale) {
  const Tensor<T> query = detail::with_dense_rows(q.value()), key = detail::with_dense_rows(k.value()),
                  value = detail::with_dense_rows(v.value());
  Tensor<T> y(query.shape());
  ops::varlen_attention_into<T>(y.view(), query.view(), key.view(), value.view(), offsets, heads, scale);
  return record<T>("varlen_attention", y, {q, k, v},
                   [query, key, value, y = std::as_const(y), heads, scale,
                    kept = std::vector<std::int64_t>(offsets.begin(), offsets.end())](const Tensor<T>& grad_y,
                                                                                      Gradients<T>& into) {
                     Tensor<T> grad_q(query.shape()), grad_k(key.shape()), grad_v(value.shape());
                     ops::varlen_attention_gradient_into<T>({grad_q.view(), grad_k.view(), grad_v.view()},
                                                            grad_y.view(), std::as_const(y).view(),
                                                            query.view(), key.view(), value.view(), kept,
                                                            {.heads = heads, .scale = scale});
                     into.add_owned(0, std::move(grad_q));
                     into.add_owned(1, std::move(grad_k));
                     into.add_owned(2, std::move(grad_v));
                   });
}

}  // namespace stofm::autograd
