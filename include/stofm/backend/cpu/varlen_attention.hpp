// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention over packed sequences on the CPU, and its gradient. Forward: tasks of (sequence, head,
/// block of query rows), each with the logits of its rows in a block of its own. Gradient: a task is one head
/// of one sequence and walks its query rows in blocks of 64, so that no two tasks add into one place. No
/// buffer grows with the square of a length.

#include <array>
#include <span>
#include <vector>

#include "stofm/backend/cpu/amx/attention.hpp"
#include "stofm/backend/cpu/bfloat16/attention.hpp"
#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// This head of rows of a packed matrix; a matrix without rows may have no memory.
template <class T>
auto head_rows(TensorView<T> view, const SequenceHead& at, std::int64_t first, std::int64_t count) {
  return eigen_rows(view.row(first) + (count > 0 ? at.column : 0), count, at.width, view.stride(0));
}

/// row[j] becomes factor * row[j] if weight `first` + j is kept, else 0. `first` is a multiple of 16.
template <class T>
void drop_weights(T* row, std::int64_t keys, const WeightDropout& dropout, std::int64_t first) {
  if (!dropout.drops()) return;
  std::array<std::uint8_t, 32> bits;
  for (std::int64_t j = 0; j < keys; ++j) {
    if (j % 256 == 0)
      dropout_mask_blocks(bits.data(), dropout.mask, static_cast<std::uint64_t>((first + j) / 8),
                          (std::min<std::int64_t>)(32, (keys - j + 7) / 8));
    const bool kept = ((bits[static_cast<std::size_t>(j % 256 / 8)] >> (j % 8)) & 1U) != 0;
    row[j] = kept ? row[j] * static_cast<T>(dropout.factor) : T(0);
  }
}

/// One head of one task: at least one query and one key. `training`: in float32 vectors on every level.
template <class T>
void attend_sequence(TensorView<T> y, const PackedSequences<T>& a, const SequenceHead& at,
                     [[maybe_unused]] bool training, bool rounded) {
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic) {
      float* const out = y.row(at.query_begin) + at.column;
      const float *const q = a.q.row(at.query_begin) + at.column,
                         *const k = a.k.row(at.key_begin) + at.column,
                         *const v = a.v.row(at.key_begin) + at.column;
      if (rounded)
        return STOFM_AT_BFLOAT16(level, attend(out, y.stride(0), q, a.q.stride(0), at.queries, k,
                                               a.k.stride(0), v, a.v.stride(0), at.keys, at.width, a.scale));
#if defined(STOFM_X86_KERNELS)
      if (level == CpuKernels::amx && at.queries > 1 && !training)
        return amx::attend(out, y.stride(0), q, a.q.stride(0), at.queries, k, a.k.stride(0), v, a.v.stride(0),
                           at.keys, at.width, a.scale);
#endif
      return STOFM_AT_LEVEL(level, attend_sequence(y, a, at));
    }
#endif
  for (std::int64_t first = 0; first < at.queries; first += sequence_rows) {
    const std::int64_t count = (std::min)(sequence_rows, at.queries - first), row = at.query_begin + first;
    T* const weights = scratch<T, 0>(count * at.keys);
    auto p = eigen_rows(weights, count, at.keys, at.keys);
    p.noalias() = head_rows(a.q, at, row, count) * head_rows(a.k, at, at.key_begin, at.keys).transpose();
    for (std::int64_t i = 0; i < count; ++i) {
      T* const p_row = weights + i * at.keys;
      for (std::int64_t j = 0; j < at.keys; ++j) p_row[j] *= a.scale;
      softmax_row(p_row, at.keys);
      if (rounded) round_row(p_row, at.keys);
      drop_weights(p_row, at.keys, a.dropout, at.weight(first + i));
    }
    head_rows(y, at, row, count).noalias() = p * head_rows(a.v, at, at.key_begin, at.keys);
  }
}

/// One head of one sequence.
template <class T>
void attend_sequence_gradient(const VarlenAttentionGradients<T>& grads, TensorView<const T> grad_y,
                              TensorView<const T> y, const PackedSequences<T>& a, const SequenceHead& at) {
  STOFM_RETURN_KERNEL(T, cpu_kernels(), attend_sequence_gradient(grads, grad_y, y, a, at))
  const auto key = head_rows(a.k, at, at.key_begin, at.keys),
             value = head_rows(a.v, at, at.key_begin, at.keys);
  auto grad_key = head_rows(grads.k, at, at.key_begin, at.keys),
       grad_value = head_rows(grads.v, at, at.key_begin, at.keys);
  grad_key.setZero();
  grad_value.setZero();
  for (std::int64_t first = 0; first < at.queries; first += sequence_rows) {
    const std::int64_t count = (std::min)(sequence_rows, at.queries - first), row = at.query_begin + first;
    T* const weights = scratch<T, 0>(2 * count * at.keys);
    T* const products = weights + count * at.keys;
    auto p = eigen_rows(weights, count, at.keys, at.keys), s = eigen_rows(products, count, at.keys, at.keys);
    const auto query = head_rows(a.q, at, row, count), grad = head_rows(grad_y, at, row, count);
    p.noalias() = query * key.transpose();
    s.noalias() = grad * value.transpose();
    for (std::int64_t i = 0; i < count; ++i) {
      T *const p_row = weights + i * at.keys, *const s_row = products + i * at.keys;
      for (std::int64_t j = 0; j < at.keys; ++j) p_row[j] *= a.scale;
      softmax_row(p_row, at.keys);
      const T *const out = y.row(row + i) + at.column, *const grad_out = grad_y.row(row + i) + at.column;
      T d = 0;
      for (std::int64_t c = 0; c < at.width; ++c) d += out[c] * grad_out[c];
      drop_weights(s_row, at.keys, a.dropout, at.weight(first + i));
      for (std::int64_t j = 0; j < at.keys; ++j) s_row[j] = a.scale * p_row[j] * (s_row[j] - d);
      drop_weights(p_row, at.keys, a.dropout, at.weight(first + i));
    }
    grad_value.noalias() += p.transpose() * grad;
    grad_key.noalias() += s.transpose() * query;
    head_rows(grads.q, at, row, count).noalias() = s * key;
  }
}

/// The tasks of at most `rows` query rows; weights are numbered sequence by sequence, head by head.
inline std::vector<SequenceHead> sequence_heads(std::span<const std::int64_t> query_offsets,
                                                std::span<const std::int64_t> key_offsets, std::int64_t heads,
                                                std::int64_t width, std::int64_t rows) {
  std::vector<SequenceHead> tasks;
  std::int64_t weight = 0;
  for (std::size_t s = 0; s + 1 < query_offsets.size(); ++s) {
    const std::int64_t queries = query_offsets[s + 1] - query_offsets[s],
                       keys = key_offsets[s + 1] - key_offsets[s], row = SequenceHead::padded(keys);
    const std::int64_t per_head = checked_mul(queries, row, "weights");
    for (std::int64_t i = 0; i == 0 || i < queries; i += rows)  // one task even of no rows: keys get zeros
      for (std::int64_t h = 0; h < heads; ++h)
        tasks.push_back({query_offsets[s] + i, (std::min)(rows, queries - i), key_offsets[s], keys, h * width,
                         width, weight + h * per_head + i * row});
    weight = checked_add(weight, checked_mul(heads, per_head, "weights"), "weights");
  }
  return tasks;
}

/// Shapes and offsets were checked. A query without keys gets zeros. With a dropout, be it of nothing, this
/// is the forward of training: float32 vectors on every level, as in the gradient (AMX weights have 2^-17).
template <class T>
void varlen_attention(Cpu, TensorView<T> y, TensorView<const T> q, TensorView<const T> k,
                      TensorView<const T> v, std::span<const std::int64_t> query_offsets,
                      std::span<const std::int64_t> key_offsets, AttentionOptions options,
                      const WeightDropout* dropout = nullptr) {
  if (y.numel() == 0) return;
  const bool rounded =
      std::is_same_v<T, float> && dropout == nullptr && options.grade == MatmulGrade::bfloat16;
  constexpr std::int64_t task_rows = 1024;  // keys and values are packed once per task
  Tensor<T> copies[3];
  if (rounded && cpu_kernels() == CpuKernels::generic) {
    round_operand(q, copies[0]);
    round_operand(k, copies[1]);
    round_operand(v, copies[2]);
  }
  const PackedSequences<T> a{q, k, v, static_cast<T>(options.scale),
                             dropout == nullptr ? WeightDropout() : *dropout};
  const auto tasks =
      sequence_heads(query_offsets, key_offsets, options.heads, y.dim(1) / options.heads, task_rows);
  parallel_for(static_cast<std::int64_t>(tasks.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const SequenceHead& at = tasks[static_cast<std::size_t>(t)];
      if (at.queries == 0) continue;
      if (at.keys == 0)
        head_rows(y, at, at.query_begin, at.queries).setZero();
      else
        attend_sequence(y, a, at, dropout != nullptr, rounded);
    }
  });
}

/// Shapes and offsets were checked.
template <class T>
void varlen_attention_gradient(Cpu, const VarlenAttentionGradients<T>& grads, TensorView<const T> grad_y,
                               TensorView<const T> y, TensorView<const T> q, TensorView<const T> k,
                               TensorView<const T> v, std::span<const std::int64_t> query_offsets,
                               std::span<const std::int64_t> key_offsets, AttentionOptions options,
                               const WeightDropout& dropout) {
  const PackedSequences<T> a{q, k, v, static_cast<T>(options.scale), dropout};
  const auto tasks = sequence_heads(query_offsets, key_offsets, options.heads, q.dim(1) / options.heads,
                                    (std::numeric_limits<std::int64_t>::max)() / 2);
  parallel_for(static_cast<std::int64_t>(tasks.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const SequenceHead& at = tasks[static_cast<std::size_t>(t)];
      if (at.keys > 0 && at.queries > 0) {
        attend_sequence_gradient(grads, grad_y, y, a, at);
        continue;
      }
      head_rows(grads.q, at, at.query_begin, at.queries).setZero();
      head_rows(grads.k, at, at.key_begin, at.keys).setZero();
      head_rows(grads.v, at, at.key_begin, at.keys).setZero();
    }
  });
}

STOFM_KERNEL_INSTANCES(varlen_attention)
STOFM_KERNEL_INSTANCES(varlen_attention_gradient)

}  // namespace stofm::backend
