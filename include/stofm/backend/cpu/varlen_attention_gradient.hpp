// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of softmax attention over packed sequences on the CPU: a task is one head of one sequence and
/// walks its query rows in blocks of 64, so that no two tasks add into one place and no buffer grows with the
/// square of a length.

#include <algorithm>
#include <span>
#include <vector>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/backend/cpu/vector/attention_gradient.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// Where the gradients go; overwritten.
template <class T>
struct VarlenAttentionGradients {
  TensorView<T> q, k, v;
};

/// Rows [begin, end) of everything, one head.
template <class T>
void attend_gradient_generic(const VarlenAttentionGradients<T>& grads, TensorView<const T> grad_y,
                             TensorView<const T> y, TensorView<const T> q, TensorView<const T> k,
                             TensorView<const T> v, std::int64_t begin, std::int64_t end, std::int64_t column,
                             std::int64_t width, T scale) {
  constexpr std::int64_t block = 64;
  const std::int64_t keys = end - begin;
  auto rows = [&](auto view, std::int64_t first, std::int64_t count) {
    return eigen_rows(view.row(first) + column, count, width, view.stride(0));
  };
  const auto key = rows(k, begin, keys), value = rows(v, begin, keys);
  auto grad_key = rows(grads.k, begin, keys), grad_value = rows(grads.v, begin, keys);
  grad_key.setZero();
  grad_value.setZero();
  for (std::int64_t first = begin; first < end; first += block) {
    const std::int64_t count = (std::min)(block, end - first);
    T* const weights = scratch<T, 0>(2 * block * keys);
    T* const products = weights + count * keys;
    auto p = eigen_rows(weights, count, keys, keys), s = eigen_rows(products, count, keys, keys);
    const auto query = rows(q, first, count), grad = rows(grad_y, first, count);
    p.noalias() = query * key.transpose();
    s.noalias() = grad * value.transpose();
    for (std::int64_t i = 0; i < count; ++i) {
      T *const p_row = weights + i * keys, *const s_row = products + i * keys;
      for (std::int64_t j = 0; j < keys; ++j) p_row[j] *= scale;
      softmax_row_generic(p_row, keys);
      const T *const out = y.row(first + i) + column, *const grad_out = grad_y.row(first + i) + column;
      T d = 0;
      for (std::int64_t c = 0; c < width; ++c) d += out[c] * grad_out[c];
      for (std::int64_t j = 0; j < keys; ++j) s_row[j] = scale * p_row[j] * (s_row[j] - d);
    }
    grad_value.noalias() += p.transpose() * grad;
    grad_key.noalias() += s.transpose() * query;
    rows(grads.q, first, count).noalias() = s * key;
  }
}

/// The same at the level of kernels in use; begin < end.
template <class T>
void attend_gradient(const VarlenAttentionGradients<T>& grads, TensorView<const T> grad_y,
                     TensorView<const T> y, TensorView<const T> q, TensorView<const T> k,
                     TensorView<const T> v, std::int64_t begin, std::int64_t end, std::int64_t column,
                     std::int64_t width, T scale) {
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) {
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic) {
      auto at = [&](const auto& view) { return view.row(begin) + column; };
      const AttentionGradientHead head{at(q),
                                       at(k),
                                       at(v),
                                       at(y),
                                       at(grad_y),
                                       q.stride(0),
                                       k.stride(0),
                                       v.stride(0),
                                       y.stride(0),
                                       grad_y.stride(0),
                                       at(grads.q),
                                       at(grads.k),
                                       at(grads.v),
                                       grads.q.stride(0),
                                       grads.k.stride(0),
                                       grads.v.stride(0)};
      STOFM_AT_LEVEL(level, attend_gradient(head, end - begin, width, scale));
      return;
    }
  }
#endif
  attend_gradient_generic(grads, grad_y, y, q, k, v, begin, end, column, width, scale);
}

/// Shapes and offsets were checked.
template <class T>
void varlen_attention_gradient(Cpu, const VarlenAttentionGradients<T>& grads, TensorView<const T> grad_y,
                               TensorView<const T> y, TensorView<const T> q, TensorView<const T> k,
                               TensorView<const T> v, std::span<const std::int64_t> offsets,
                               const AttentionOptions& options) {
  if (q.numel() == 0) return;
  const std::int64_t width = q.dim(1) / options.heads;
  const auto sequences = static_cast<std::int64_t>(offsets.size()) - 1;
  parallel_for(sequences * options.heads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t task = first; task < last; ++task) {
      const auto sequence = static_cast<std::size_t>(task / options.heads);
      const std::int64_t begin = offsets[sequence], end = offsets[sequence + 1];
      if (begin == end) continue;
      attend_gradient(grads, grad_y, y, q, k, v, begin, end, task % options.heads * width, width,
                      static_cast<T>(options.scale));
    }
  });
}

STOFM_KERNEL_INSTANCES(varlen_attention_gradient)

}  // namespace stofm::backend
