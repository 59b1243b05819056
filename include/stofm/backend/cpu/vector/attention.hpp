// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention of one head in float32 on vectors, `attention_rows` query rows at a time, against blocks
/// of keys: logits in rows, which become weights in their place, a running maximum, and values times weights
/// summed in y. A form for one query that reads keys and values where they are. And attention over packed
/// sequences with its gradient, whose products are small, C = A B with A read at any two strides and B row by
/// row: blocks of `strided_rows` rows and `strided_vectors` vectors of C stay in registers.
/// *Source* Dao et al., "FlashAttention", 2022, algorithm 1.

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "stofm/backend/cpu/vector/dropout_mask.hpp"
#include "stofm/backend/cpu/vector/linear.hpp"

namespace stofm::backend {

/// Keys of a block: its logits stay in L1 from the product that makes them to the one that reads them.
inline constexpr std::int64_t attention_keys = 256;

/// What attention over packed sequences reads, at all levels. Rows are dense.
template <class T>
struct PackedSequences {
  TensorView<const T> q, k, v;  // [R, heads * width], [T, heads * width] twice
  T scale;
  WeightDropout dropout;
};
/// Where its gradients go; overwritten.
template <class T>
struct VarlenAttentionGradients {
  TensorView<T> q, k, v;
};
/// One head of (some query rows of) one sequence. Weight j of query row i is number `weight(i)` + j of the
/// dropout mask.
struct SequenceHead {
  std::int64_t query_begin, queries, key_begin, keys, column, width, first_weight;

  static std::int64_t padded(std::int64_t keys) { return (keys + 15) / 16 * 16; }
  std::int64_t weight(std::int64_t i) const { return first_weight + i * padded(keys); }
};
inline constexpr std::int64_t sequence_rows = 64;  // of a block of the gradient

/// What attend_rows does: `rows` <= attention_rows query rows of one head.
struct AttentionBlock {
  float* y;  ///< [rows, width]
  std::int64_t y_stride, rows, keys;
  std::span<const PanelSegment> segments;  ///< the query rows; all keys of this head (pack_panels_transposed)
  std::int64_t q_stride, k;                ///< between query rows; summed elements of a segment
  float scale;                             ///< of the logits
  const float* values;                     ///< panels of pack_panels over all keys
  std::int64_t width;
  float kept = 1.0F;          ///< factor of weights that are not dropped
  float* log_sums = nullptr;  ///< [rows] log sum exp of the logits, or null
};

/// Dropout of no weight. Others are called with weights [rows, count] of keys from `start` on, and put zeros
/// where they drop.
struct KeepAll {
  void operator()(float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {}
};

/// Adds no listed values.
struct AddNothing {
  void operator()(float*, std::int64_t, std::int64_t, std::int64_t) const {}
};

/// A matrix read at any strides.
struct StridedOperand {
  const float* data;
  std::int64_t row, column;  // strides
};

}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/attention.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
