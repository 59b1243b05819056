// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention over sequences packed one after the other, without padding, and its gradient. Some rows
/// of each sequence ask, all its rows answer, and weights may be dropped. Per head, with P = softmax(scale q
/// k^T) and M = keep mask / (1 - p):
///   y = (P * M) v,   d_i = <grad_y_i, y_i>,   S = scale P * (M * (grad_y v^T) - d)
///   grad_v = (P * M)^T grad_y,   grad_q = S k,   grad_k = S^T q
/// *Source* Dao et al., "FlashAttention", 2022, appendix B (d from the output, P and M computed again);
/// dropout on the weights as Hugging Face's BertSelfAttention.

#include <span>

#include "stofm/backend/cpu/varlen_attention.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

using stofm::AttentionOptions;
using stofm::WeightDropout;
using stofm::backend::VarlenAttentionGradients;

namespace detail {
inline void check_offsets(const char* op, const char* name, std::span<const std::int64_t> offsets,
                          std::int64_t rows) {
  bool valid = !offsets.empty() && offsets.front() == 0 && offsets.back() == rows;
  for (std::size_t i = 0; valid && i + 1 < offsets.size(); ++i) valid = offsets[i] <= offsets[i + 1];
  if (!valid)
    refuse(op,
           concat(name, " of ", offsets.size(), " values", offsets.empty() ? "" : " ending in ",
                  offsets.empty() ? "" : std::to_string(offsets.back())),
           concat("ascending values from 0 to ", rows, ", one more than sequences"), "STOFM-1104",
           "Check the offsets.");
}

/// What all forms require of queries, keys and values.
template <class T>
void check_attention(const char* op, const TensorView<const T>& q, const TensorView<const T>& k,
                     const TensorView<const T>& v, std::span<const std::int64_t> query_offsets,
                     std::span<const std::int64_t> key_offsets, const AttentionOptions& options) {
  require_rank(op, "q", q, 2);
  require_rank(op, "k", k, 2);
  require_same_shape(op, "k", k, "v", v);
  if (q.dim(1) != k.dim(1))
    refuse(op, concat("q ", to_string(q.shape), ", k ", to_string(k.shape)), "the same number of columns");
  if (options.heads < 1 || q.dim(1) % options.heads != 0)
    refuse(op, concat(options.heads, " heads for q ", to_string(q.shape)),
           "a number of heads that divides the columns", "STOFM-1105", "Check the number of heads.");
  require_dense_rows(op, "q", q);
  require_dense_rows(op, "k", k);
  require_dense_rows(op, "v", v);
  check_offsets(op, "query_offsets", query_offsets, q.dim(0));
  check_offsets(op, "key_offsets", key_offsets, k.dim(0));
  if (query_offsets.size() != key_offsets.size())
    refuse(op, concat(query_offsets.size(), " query offsets, ", key_offsets.size(), " key offsets"),
           "the same number of sequences", "STOFM-1104", "Check the offsets.");
}
template <class A, class B>
void check_like(const char* op, const char* name, const TensorView<A>& a, const char* other,
                const TensorView<B>& b) {
  require_same_shape(op, name, a, other, b);
  require_dense_rows(op, name, a);
}
}  // namespace detail

/// *Shapes* y, q: [Tq, H d], k, v: [Tk, H d] with dense rows (head h is columns [h d, (h+1) d));
/// query_offsets and key_offsets: [sequences + 1]. Queries of sequence s see all keys of sequence s, and
/// zeros come out if there are none. One query per sequence (the CLS row of a last layer) is a cheap case. y
/// must not overlap the others. \throws ShapeError. *Cost* 4 d sum_s Tq_s Tk_s per head; scratch of a few
/// hundred KB and O(Tk_s d) per thread. *Deterministic* yes, for any number of threads.
template <Computed T>
void varlen_attention_into(TensorView<T> y, Input<T> q, Input<T> k, Input<T> v,
                           std::span<const std::int64_t> query_offsets,
                           std::span<const std::int64_t> key_offsets, AttentionOptions options) {
  detail::check_attention("varlen_attention", q, k, v, query_offsets, key_offsets, options);
  detail::check_like("varlen_attention", "y", y, "q", q);
  backend::varlen_attention<T>(Cpu{}, y, q, k, v, query_offsets, key_offsets, options);
}

/// The same for training, with dropped weights, in float32 on every kernel level: weight j of query row i of
/// head h of a sequence is element first + (h R + i) P + j of the mask, R its query rows, P its keys rounded
/// up to 16, first the sum of heads * R * P over the sequences before.
template <Computed T>
void varlen_attention_into(TensorView<T> y, Input<T> q, Input<T> k, Input<T> v,
                           std::span<const std::int64_t> query_offsets,
                           std::span<const std::int64_t> key_offsets, AttentionOptions options,
                           const WeightDropout& dropout) {
  detail::check_attention("varlen_attention", q, k, v, query_offsets, key_offsets, options);
  detail::check_like("varlen_attention", "y", y, "q", q);
  backend::varlen_attention<T>(Cpu{}, y, q, k, v, query_offsets, key_offsets, options, &dropout);
}

/// *Shapes* grads: as q, k and v, overwritten; grad_y, y: as q; dense rows all. `y` is the result of
/// `varlen_attention_into` with the same options and dropout. \throws ShapeError. *Cost* 10 d sum_s Tq_s Tk_s
/// per head; scratch O(Tk_s) times a block of 64 rows per thread. *Deterministic* yes, for any number of
/// threads.
template <Computed T>
void varlen_attention_gradient_into(const VarlenAttentionGradients<T>& grads, Input<T> grad_y, Input<T> y,
                                    Input<T> q, Input<T> k, Input<T> v,
                                    std::span<const std::int64_t> query_offsets,
                                    std::span<const std::int64_t> key_offsets, AttentionOptions options,
                                    const WeightDropout& dropout = {}) {
  const char* op = "varlen_attention_gradient";
  detail::check_attention(op, q, k, v, query_offsets, key_offsets, options);
  detail::check_like(op, "grad_q", grads.q, "q", q);
  detail::check_like(op, "grad_k", grads.k, "k", k);
  detail::check_like(op, "grad_v", grads.v, "v", v);
  detail::check_like(op, "grad_y", grad_y, "q", q);
  detail::check_like(op, "y", y, "q", q);
  backend::varlen_attention_gradient<T>(Cpu{}, grads, grad_y, y, q, k, v, query_offsets, key_offsets, options,
                                        dropout);
}

/// Self-attention: queries and keys share the offsets.
template <Computed T>
void varlen_attention_into(TensorView<T> y, Input<T> q, Input<T> k, Input<T> v,
                           std::span<const std::int64_t> offsets, std::int64_t heads, double scale) {
  varlen_attention_into(y, q, k, v, offsets, offsets, AttentionOptions{.heads = heads, .scale = scale});
}

}  // namespace stofm::ops
