// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention over packed sequences on the CPU: tasks of (sequence, head, block of query rows), each
/// with the logits of its rows in a block of its own. No buffer grows with the square of a length.

#include <span>
#include <vector>

#include "stofm/backend/cpu/amx/attention.hpp"
#include "stofm/backend/cpu/bfloat16/attention.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// Rows [query_begin, query_end) of q attend to rows [key_begin, key_end) of k and v.
struct AttentionSpan {
  std::int64_t query_begin, query_end, key_begin, key_end;
};

template <class T>
void attend_generic(TensorView<T> y, TensorView<const T> q, TensorView<const T> k, TensorView<const T> v,
                    AttentionSpan rows, std::int64_t head, std::int64_t width, T scale, MatmulGrade grade) {
  const std::int64_t queries = rows.query_end - rows.query_begin, keys = rows.key_end - rows.key_begin;
  const std::int64_t column = head * width;
  T* logits = scratch<T, 0>(queries * keys);
  auto s = eigen_rows(logits, queries, keys, keys);
  const auto key = eigen_rows(k.row(rows.key_begin) + column, keys, width, k.stride(0));
  s.noalias() = eigen_rows(q.row(rows.query_begin) + column, queries, width, q.stride(0)) * key.transpose();
  for (std::int64_t i = 0; i < queries; ++i) {
    for (std::int64_t j = 0; j < keys; ++j) logits[i * keys + j] *= scale;
    softmax_row_generic(logits + i * keys, keys);
    if (std::is_same_v<T, float> && grade == MatmulGrade::bfloat16) round_row(logits + i * keys, keys);
  }
  eigen_rows(y.row(rows.query_begin) + column, queries, width, y.stride(0)).noalias() =
      s * eigen_rows(v.row(rows.key_begin) + column, keys, width, v.stride(0));
}

/// One head of one task: `rows` has at least one query and one key.
template <class T>
void attend_span(TensorView<T> y, TensorView<const T> q, TensorView<const T> k, TensorView<const T> v,
                 AttentionSpan rows, std::int64_t head, std::int64_t width, const AttentionOptions& options) {
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) {
    const CpuKernels level = cpu_kernels();
    const std::int64_t queries = rows.query_end - rows.query_begin, keys = rows.key_end - rows.key_begin;
    const std::int64_t column = head * width;
    const auto scale = static_cast<float>(options.scale);
    float* out = y.row(rows.query_begin) + column;
    const float* query = q.row(rows.query_begin) + column;
    const float* key = k.row(rows.key_begin) + column;
    const float* value = v.row(rows.key_begin) + column;
    if (level != CpuKernels::generic) {
      if (options.grade == MatmulGrade::bfloat16)
        return STOFM_AT_BFLOAT16(level, attend(out, y.stride(0), query, q.stride(0), queries, key,
                                               k.stride(0), value, v.stride(0), keys, width, scale));
      if (queries == 1)
        return STOFM_AT_LEVEL(
            level, attend_single(out, query, key, k.stride(0), value, v.stride(0), keys, width, scale));
#if defined(STOFM_X86_KERNELS)
      if (level == CpuKernels::amx)
        return amx::attend(out, y.stride(0), query, q.stride(0), queries, key, k.stride(0), value,
                           v.stride(0), keys, width, scale);
#endif
      return STOFM_AT_LEVEL(level, attend(out, y.stride(0), query, q.stride(0), queries, key, k.stride(0),
                                          value, v.stride(0), keys, width, scale));
    }
  }
#endif
  constexpr std::int64_t block = 64;
  for (std::int64_t i = rows.query_begin; i < rows.query_end; i += block)
    attend_generic(y, q, k, v, {i, (std::min)(i + block, rows.query_end), rows.key_begin, rows.key_end}, head,
                   width, static_cast<T>(options.scale), options.grade);
}

/// Shapes and offsets were checked. A query without keys gets zeros.
template <class T>
void varlen_attention(Cpu, TensorView<T> y, TensorView<const T> q, TensorView<const T> k,
                      TensorView<const T> v, std::span<const std::int64_t> query_offsets,
                      std::span<const std::int64_t> key_offsets, AttentionOptions options) {
  // Keys and values are packed once per task; in bfloat16 that is a larger share of the work.
  const std::int64_t task_rows = options.grade == MatmulGrade::bfloat16 ? 1024 : 512;
  if (y.numel() == 0) return;
  Tensor<T> rounded[3];
  if (options.grade == MatmulGrade::bfloat16 && cpu_kernels() == CpuKernels::generic) {
    round_operand(q, rounded[0]);
    round_operand(k, rounded[1]);
    round_operand(v, rounded[2]);
  }
  const std::int64_t width = y.dim(1) / options.heads;
  std::vector<AttentionSpan> tasks;
  for (std::size_t s = 0; s + 1 < query_offsets.size(); ++s)
    for (std::int64_t i = query_offsets[s]; i < query_offsets[s + 1]; i += task_rows)
      tasks.push_back(
          {i, (std::min)(i + task_rows, query_offsets[s + 1]), key_offsets[s], key_offsets[s + 1]});
  parallel_for(static_cast<std::int64_t>(tasks.size()) * options.heads, 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t t = begin; t < end; ++t) {
                   const AttentionSpan& rows = tasks[static_cast<std::size_t>(t / options.heads)];
                   const std::int64_t head = t % options.heads;
                   if (rows.key_begin == rows.key_end)
                     eigen_rows(y.row(rows.query_begin) + head * width, rows.query_end - rows.query_begin,
                                width, y.stride(0))
                         .setZero();
                   else
                     attend_span(y, q, k, v, rows, head, width, options);
                 }
               });
}

STOFM_KERNEL_INSTANCE(void varlen_attention<float>(Cpu, TensorView<float> y, TensorView<const float> q,
                                                   TensorView<const float> k, TensorView<const float> v,
                                                   std::span<const std::int64_t> query_offsets,
                                                   std::span<const std::int64_t> key_offsets,
                                                   AttentionOptions options))
STOFM_KERNEL_INSTANCE(void varlen_attention<double>(Cpu, TensorView<double> y, TensorView<const double> q,
                                                    TensorView<const double> k, TensorView<const double> v,
                                                    std::span<const std::int64_t> query_offsets,
                                                    std::span<const std::int64_t> key_offsets,
                                                    AttentionOptions options))

}  // namespace stofm::backend
