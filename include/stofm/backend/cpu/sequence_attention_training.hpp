// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention of training over packed sequences on the CPU, with dropped weights, and its gradient. A task is
/// one head of one sequence and walks its query rows in blocks of 64, so that no two tasks add into one
/// place.

#include <algorithm>
#include <array>
#include <vector>

#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/backend/cpu/vector/sequence_attention_training.hpp"

namespace stofm::backend {

/// What forward and backward share. Shapes and offsets were checked.
template <class T>
struct SequenceAttention {
  Tensor<T> query, key, value;  // [R, H d], [T, H d], [T, H d], dense rows
  std::vector<std::int64_t> query_offsets, key_offsets;
  std::int64_t heads = 1;
  T scale = 1, factor = 1;
  bool drops = false;
  DropoutMask mask;
  std::vector<std::int64_t>
      first_weight;  // [sequences] number of the first weight of a sequence, for the mask

  std::int64_t sequences() const { return static_cast<std::int64_t>(key_offsets.size()) - 1; }
  static std::int64_t padded(std::int64_t keys) { return (keys + 15) / 16 * 16; }
  /// Numbers the weights: sequence by sequence, head by head, rows of a multiple of 16 weights.
  void number_weights() {
    std::int64_t next = 0;
    for (std::size_t s = 0; s + 1 < key_offsets.size(); ++s) {
      first_weight.push_back(next);
      const std::int64_t row = padded(key_offsets[s + 1] - key_offsets[s]);
      next = checked_add(
          next,
          checked_mul(checked_mul(heads, query_offsets[s + 1] - query_offsets[s], "weights"), row, "weights"),
          "weights");
    }
  }
};

template <class T>
struct SequenceAttentionGradients {
  TensorView<T> query, key, value;  // overwritten
};

/// One head of one sequence.
struct SequenceHead {
  std::int64_t query_begin, queries, key_begin, keys, column, width, first_weight;
};

inline constexpr std::int64_t sequence_attention_rows = 64;

/// row[j] is scaled up if weight `first` + j is kept, else 0. `first` is a multiple of 16.
template <class T>
void drop_weights(T* row, std::int64_t keys, const DropoutMask& mask, std::int64_t first, T factor) {
  std::array<std::uint8_t, 32> bits;
  for (std::int64_t j = 0; j < keys; ++j) {
    if (j % 256 == 0)
      dropout_mask_blocks(bits.data(), mask, static_cast<std::uint64_t>((first + j) / 8),
                          (std::min<std::int64_t>)(32, (keys - j + 7) / 8));
    const bool kept = ((bits[static_cast<std::size_t>(j % 256 / 8)] >> (j % 8)) & 1U) != 0;
    row[j] = kept ? row[j] * factor : T(0);
  }
}

template <class T>
void attend_sequence(TensorView<T> y, const SequenceAttention<T>& a, const SequenceHead& at) {
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic)
      return STOFM_AT_LEVEL(level, attend_sequence(y, a, at));
#endif
  const auto rows = [&](const auto& view, std::int64_t first, std::int64_t count) {
    return eigen_rows(view.row(first) + at.column, count, at.width, view.stride(0));
  };
  for (std::int64_t first = 0; first < at.queries; first += sequence_attention_rows) {
    const std::int64_t count = (std::min)(sequence_attention_rows, at.queries - first);
    T* const weights = scratch<T, 0>(count * at.keys);
    auto p = eigen_rows(weights, count, at.keys, at.keys);
    p.noalias() = rows(a.query.view(), at.query_begin + first, count) *
                  rows(a.key.view(), at.key_begin, at.keys).transpose();
    for (std::int64_t i = 0; i < count; ++i) {
      T* const row = weights + i * at.keys;
      for (std::int64_t j = 0; j < at.keys; ++j) row[j] *= a.scale;
      softmax_row_generic(row, at.keys);
      if (a.drops)
        drop_weights(row, at.keys, a.mask, at.first_weight + (first + i) * a.padded(at.keys), a.factor);
    }
    rows(y, at.query_begin + first, count).noalias() = p * rows(a.value.view(), at.key_begin, at.keys);
  }
}

template <class T>
void attend_sequence_gradient(const SequenceAttentionGradients<T>& grads, TensorView<const T> grad_y,
                              TensorView<const T> y, const SequenceAttention<T>& a, const SequenceHead& at) {
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic)
      return STOFM_AT_LEVEL(level, attend_sequence_gradient(grads, grad_y, y, a, at));
#endif
  const auto rows = [&](const auto& view, std::int64_t first, std::int64_t count) {
    return eigen_rows(view.row(first) + at.column, count, at.width, view.stride(0));
  };
  const auto key = rows(a.key.view(), at.key_begin, at.keys),
             value = rows(a.value.view(), at.key_begin, at.keys);
  auto grad_key = rows(grads.key, at.key_begin, at.keys),
       grad_value = rows(grads.value, at.key_begin, at.keys);
  grad_key.setZero();
  grad_value.setZero();
  for (std::int64_t first = 0; first < at.queries; first += sequence_attention_rows) {
    const std::int64_t count = (std::min)(sequence_attention_rows, at.queries - first),
                       row = at.query_begin + first;
    T* const weights = scratch<T, 0>(2 * count * at.keys);
    T* const products = weights + count * at.keys;
    auto p = eigen_rows(weights, count, at.keys, at.keys), s = eigen_rows(products, count, at.keys, at.keys);
    const auto query = rows(a.query.view(), row, count), grad = rows(grad_y, row, count);
    p.noalias() = query * key.transpose();
    s.noalias() = grad * value.transpose();
    for (std::int64_t i = 0; i < count; ++i) {
      T *const p_row = weights + i * at.keys, *const s_row = products + i * at.keys;
      for (std::int64_t j = 0; j < at.keys; ++j) p_row[j] *= a.scale;
      softmax_row_generic(p_row, at.keys);
      const T *const out = y.row(row + i) + at.column, *const grad_out = grad_y.row(row + i) + at.column;
      T d = 0;
      for (std::int64_t c = 0; c < at.width; ++c) d += out[c] * grad_out[c];
      const std::int64_t weight = at.first_weight + (first + i) * a.padded(at.keys);
      if (a.drops) drop_weights(s_row, at.keys, a.mask, weight, a.factor);
      for (std::int64_t j = 0; j < at.keys; ++j) s_row[j] = a.scale * p_row[j] * (s_row[j] - d);
      if (a.drops) drop_weights(p_row, at.keys, a.mask, weight, a.factor);
    }
    grad_value.noalias() += p.transpose() * grad;
    grad_key.noalias() += s.transpose() * query;
    rows(grads.query, row, count).noalias() = s * key;
  }
}

/// Calls body(SequenceHead) for every head of every sequence, in parallel. Short sequences share a chunk.
template <class T, class Body>
void for_sequence_heads(const SequenceAttention<T>& a, Body&& body) {
  parallel_for(a.sequences(), 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s) {
      const auto i = static_cast<std::size_t>(s);
      const std::int64_t width = a.query.dim(1) / a.heads,
                         queries = a.query_offsets[i + 1] - a.query_offsets[i],
                         keys = a.key_offsets[i + 1] - a.key_offsets[i];
      for (std::int64_t h = 0; h < a.heads; ++h)
        body(SequenceHead{a.query_offsets[i], queries, a.key_offsets[i], keys, h * width, width,
                          a.first_weight[i] + h * queries * a.padded(keys)});
    }
  });
}

/// y: [R, H d], overwritten; a query without keys gets zeros.
template <class T>
void sequence_attention(TensorView<T> y, const SequenceAttention<T>& a) {
  for_sequence_heads(a, [&](const SequenceHead& at) {
    if (at.keys > 0 && at.queries > 0)
      attend_sequence(y, a, at);
    else
      eigen_rows(y.row(at.query_begin) + at.column, at.queries, at.width, y.stride(0)).setZero();
  });
}

template <class T>
void sequence_attention_gradient(const SequenceAttentionGradients<T>& grads, TensorView<const T> grad_y,
                                 TensorView<const T> y, const SequenceAttention<T>& a) {
  const auto clear = [](TensorView<T> rows, std::int64_t begin, std::int64_t count, const SequenceHead& at) {
    eigen_rows(rows.row(begin) + at.column, count, at.width, rows.stride(0)).setZero();
  };
  for_sequence_heads(a, [&](const SequenceHead& at) {
    if (at.keys > 0 && at.queries > 0) return attend_sequence_gradient(grads, grad_y, y, a, at);
    clear(grads.query, at.query_begin, at.queries, at);
    clear(grads.key, at.key_begin, at.keys, at);
    clear(grads.value, at.key_begin, at.keys, at);
  });
}

STOFM_KERNEL_INSTANCES(sequence_attention)
STOFM_KERNEL_INSTANCES(sequence_attention_gradient)

}  // namespace stofm::backend
