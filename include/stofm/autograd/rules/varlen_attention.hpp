// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention over packed sequences, differentiable. Formulas: ops/varlen_attention.hpp. The weights and the
/// keep mask are computed again in backward; nothing of size queries x keys is kept.

#include <span>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "stofm/ops/varlen_attention.hpp"

namespace stofm::autograd {

struct VarlenAttentionOptions {
  std::int64_t heads = 1;
  double scale = 1.0;    ///< of the scores
  double dropout = 0.0;  ///< probability that a weight is dropped
  RandomKey key = {};    ///< which weights
};

/// *Shapes* q: [R, H d]; packed: [T, 2 H d], keys then values; result [R, H d]; query_offsets and
/// key_offsets: [sequences + 1]. With an absent q, packed is [T, 3 H d] with the queries in front, and R = T.
/// *Saved* q, packed, the result. \throws ShapeError; UsageError STOFM-1501 for the probability. *Cost* 4 d
/// sum_s R_s T_s per head forward, 10 d sum_s R_s T_s backward. *Deterministic* yes, for any number of
/// threads.
template <ops::Computed T>
Variable<T> varlen_attention(const Variable<T>& q, const Variable<T>& packed,
                             std::span<const std::int64_t> query_offsets,
                             std::span<const std::int64_t> key_offsets,
                             const VarlenAttentionOptions& options) {
  const char* op = "varlen_attention";
  const bool together = q.absent();
  const Tensor<T> all = detail::with_dense_rows(packed.value());
  ops::detail::require_rank(op, "packed", all.view(), 2);
  const std::int64_t parts = together ? 3 : 2, width = all.dim(1) / parts;
  const Tensor<T> query = together ? all.slice(1, 0, width) : detail::with_dense_rows(q.value());
  if (all.dim(1) != parts * width)
    ops::detail::refuse(op, concat("packed ", to_string(all.shape())),
                        concat(parts, " times as many columns as the queries"));
  const Tensor<T> key = all.slice(1, (parts - 2) * width, (parts - 1) * width),
                  value = all.slice(1, (parts - 1) * width, parts * width);
  const WeightDropout dropout = WeightDropout::of(options.dropout, options.key);
  Tensor<T> y(query.shape());
  const ops::AttentionOptions attention{.heads = options.heads, .scale = options.scale};
  ops::varlen_attention_into<T>(y.view(), query.view(), key.view(), value.view(), query_offsets, key_offsets,
                                attention, dropout);
  using Offsets = std::vector<std::int64_t>;
  return record<T>(op, y, {q, packed},
                   [=, y = std::as_const(y), queries = Offsets(query_offsets.begin(), query_offsets.end()),
                    keys = Offsets(key_offsets.begin(), key_offsets.end()),
                    shape = all.shape()](const Tensor<T>& grad_y, Gradients<T>& into) {
                     Tensor<T> grad_all(shape),
                         grad_q = together ? grad_all.slice(1, 0, width) : Tensor<T>(y.shape());
                     const auto part = [&](std::int64_t i) {
                       return grad_all.slice(1, i * width, (i + 1) * width).view();
                     };
                     ops::varlen_attention_gradient_into<T>({grad_q.view(), part(parts - 2), part(parts - 1)},
                                                            grad_y.view(), y.view(), query.view(), key.view(),
                                                            value.view(), queries, keys, attention, dropout);
                     if (!together) into.add_owned(0, std::move(grad_q));
                     into.add_owned(1, std::move(grad_all));
                   });
}

/// Self-attention of queries, keys and values [T, H d] that come apart.
template <ops::Computed T>
Variable<T> varlen_attention(const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
                             std::span<const std::int64_t> offsets, std::int64_t heads, double scale) {
  const Variable<T> answers[] = {k, v};
  return varlen_attention<T>(q, concatenate<T>(answers, 1), offsets, offsets,
                             {.heads = heads, .scale = scale});
}

}  // namespace stofm::autograd
