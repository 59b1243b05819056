// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention over packed sequences for training: some rows of each sequence ask, all its rows answer, and
/// attention weights may be dropped. Per head, with P = softmax(scale q k^T) and M = keep mask / (1 - p):
///   y = (P * M) v,   d_i = <grad_y_i, y_i>,   S = scale P * (M * (grad_y v^T) - d)
///   grad_v = (P * M)^T grad_y,   grad_q = S k,   grad_k = S^T q
/// P and M are computed again in backward; nothing of size queries x keys is kept.
/// Source: Dao et al., "FlashAttention", 2022, appendix B; dropout on the weights as Hugging Face's
/// BertSelfAttention.

#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/backend/cpu/sequence_attention_training.hpp"
#include "stofm/ops/varlen_attention.hpp"

namespace stofm::model {

struct SequenceAttentionOptions {
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
autograd::Variable<T> sequence_attention(const autograd::Variable<T>& q, const autograd::Variable<T>& packed,
                                         std::span<const std::int64_t> query_offsets,
                                         std::span<const std::int64_t> key_offsets,
                                         const SequenceAttentionOptions& options) {
  const char* op = "sequence_attention";
  const bool together = q.absent();
  const Tensor<T> all = autograd::detail::with_dense_rows(packed.value());
  ops::detail::require_rank(op, "packed", all.view(), 2);
  const std::int64_t parts = together ? 3 : 2, width = all.dim(1) / parts;
  const Tensor<T> query = together ? all.slice(1, 0, width) : autograd::detail::with_dense_rows(q.value());
  ops::detail::require_rank(op, "q", query.view(), 2);
  if (all.dim(1) != parts * width || query.dim(1) != width || options.heads < 1 || width % options.heads != 0)
    ops::detail::refuse(
        op,
        concat("q ", to_string(query.shape()), ", packed ", to_string(all.shape()), ", ", options.heads,
               " heads"),
        concat("packed ", parts, " times as wide as the queries, a width that the heads divide"));
  ops::detail::check_offsets(op, "query_offsets", query_offsets, query.dim(0));
  ops::detail::check_offsets(op, "key_offsets", key_offsets, all.dim(0));
  if (query_offsets.size() != key_offsets.size())
    ops::detail::refuse(op, concat(query_offsets.size(), " query and ", key_offsets.size(), " key offsets"),
                        "the same number of sequences");
  backend::SequenceAttention<T> plan;
  plan.query = query;
  plan.key = all.slice(1, (parts - 2) * width, (parts - 1) * width);
  plan.value = all.slice(1, (parts - 1) * width, parts * width);
  plan.query_offsets.assign(query_offsets.begin(), query_offsets.end());
  plan.key_offsets.assign(key_offsets.begin(), key_offsets.end());
  plan.heads = options.heads;
  plan.scale = static_cast<T>(options.scale);
  const DropoutRate rate = DropoutRate::of(options.dropout);
  plan.drops = rate.drops();
  plan.mask = DropoutMask(options.key, rate.threshold);
  plan.factor = static_cast<T>(rate.factor);
  plan.number_weights();
  Tensor<T> y(query.shape());
  backend::sequence_attention(y.view(), plan);
  return autograd::record<T>(
      op, y, {q, packed},
      [plan = std::move(plan), y = std::as_const(y), together, parts, width, shape = all.shape()](
          const Tensor<T>& grad_y, autograd::Gradients<T>& into) {
        Tensor<T> grad_all(shape), grad_query = together ? grad_all.slice(1, 0, width) : Tensor<T>(y.shape());
        const auto part = [&](std::int64_t i) {
          return grad_all.slice(1, i * width, (i + 1) * width).view();
        };
        backend::sequence_attention_gradient<T>({grad_query.view(), part(parts - 2), part(parts - 1)},
                                                grad_y.view(), y.view(), plan);
        if (!together) into.add_owned(0, std::move(grad_query));
        into.add_owned(1, std::move(grad_all));
      });
}

}  // namespace stofm::model
