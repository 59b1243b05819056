// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention over sequences packed one after the other, without padding:
/// y_i = sum_j softmax_j(scale * q_i k_j^T) v_j per head, j in the sequence of i.

#include <span>

#include "stofm/backend/cpu/varlen_attention.hpp"
#include "stofm/backend/cuda/varlen_attention.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

using stofm::AttentionOptions;

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
}  // namespace detail

/// *Shapes* y, q: [Tq, H d], k, v: [Tk, H d] with dense rows (head h is columns [h d, (h+1) d));
/// query_offsets and key_offsets: [sequences + 1]. Queries of sequence s see all keys of sequence s, and
/// zeros come out if there are none. One query per sequence (the CLS row of a last layer) is a cheap case. y
/// must not overlap the others. \throws ShapeError. *Cost* 4 d sum_s Tq_s Tk_s per head; scratch of a few
/// hundred KB and O(Tk_s d) per thread. *Deterministic* yes, for any number of threads.
template <Computed T, DeviceTag D>
void varlen_attention_into(TensorView<T, D> y, Input<T, D> q, Input<T, D> k, Input<T, D> v,
                           std::span<const std::int64_t> query_offsets,
                           std::span<const std::int64_t> key_offsets, AttentionOptions options) {
  const char* op = "varlen_attention";
  detail::require_rank(op, "y", y, 2);
  detail::require_rank(op, "k", k, 2);
  detail::require_same_shape(op, "y", y, "q", q);
  detail::require_same_shape(op, "k", k, "v", v);
  if (q.dim(1) != k.dim(1))
    detail::refuse(op, concat("q ", to_string(q.shape), ", k ", to_string(k.shape)),
                   "the same number of columns");
  if (options.heads < 1 || q.dim(1) % options.heads != 0)
    detail::refuse(op, concat(options.heads, " heads for q ", to_string(q.shape)),
                   "a number of heads that divides the columns", "STOFM-1105", "Check the number of heads.");
  detail::require_dense_rows(op, "y", y);
  detail::require_dense_rows(op, "q", q);
  detail::require_dense_rows(op, "k", k);
  detail::require_dense_rows(op, "v", v);
  detail::check_offsets(op, "query_offsets", query_offsets, q.dim(0));
  detail::check_offsets(op, "key_offsets", key_offsets, k.dim(0));
  if (query_offsets.size() != key_offsets.size())
    detail::refuse(op, concat(query_offsets.size(), " query offsets, ", key_offsets.size(), " key offsets"),
                   "the same number of sequences", "STOFM-1104", "Check the offsets.");
  backend::varlen_attention(y.device, y, q, k, v, query_offsets, key_offsets, options);
}

/// Self-attention: queries and keys share the offsets.
template <Computed T, DeviceTag D>
void varlen_attention_into(TensorView<T, D> y, Input<T, D> q, Input<T, D> k, Input<T, D> v,
                           std::span<const std::int64_t> offsets, std::int64_t heads, double scale) {
  varlen_attention_into(y, q, k, v, offsets, offsets, AttentionOptions{.heads = heads, .scale = scale});
}

}  // namespace stofm::ops
