// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention with its gradient on the CPU: the plain form of every step, and the choice of the kernels.
/// See ops/pair_attention_training.hpp for the formulas and pair_attention_training_state.hpp for what is
/// kept.

#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "stofm/backend/cpu/amx/pair_attention_training_backward.hpp"
#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/pair_attention_training_state.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/vector/pair_attention_training.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::backend {

template <class T>
std::shared_ptr<const PairTrainingLayer<T>> pair_training_layer(
    Cpu, [[maybe_unused]] const PairTrainingState<T>& state, TensorView<const T> q, TensorView<const T> k,
    double scale) {
  auto layer = std::make_shared<PairTrainingLayer<T>>();
  layer->scale = static_cast<T>(scale);
  auto copy = [](TensorView<const T> from, T factor) {
    Tensor<T> to(from.shape);
    parallel_for(from.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t c = 0; c < from.dim(1); ++c)
          to.data()[i * from.dim(1) + c] = from.row(i)[c] * factor;
    });
    return to;
  };
  layer->q = copy(q, layer->scale);
  layer->k = copy(k, T(1));
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) {
#if defined(STOFM_X86_KERNELS)
    if (state.level == CpuKernels::amx) {
      amx::pack_pair_layer(*layer, state.heads, state.width);
      return layer;
    }
#endif
    if (state.level != CpuKernels::generic)
      STOFM_AT_LEVEL(state.level, pack_pair_layer(*layer, state.heads, state.width));
  }
#endif
  return layer;
}

/// The rows [32 * block, ...) of one head of every layer and the listed values, as dense logits [rows,
/// nodes].
template <class T>
void pair_training_logits(const PairTrainingState<T>& state, std::int64_t head, std::int64_t block,
                          T* logits) {
  const std::int64_t n = state.nodes(), begin = block * 32, rows = (std::min<std::int64_t>)(n - begin, 32);
  const std::int64_t stride = state.heads * state.width, column = head * state.width;
  auto s = eigen_rows(logits, rows, n, n);
  s.setZero();
  for (const auto& layer : state.layers)
    s.noalias() += eigen_rows(layer->q.data() + begin * stride + column, rows, state.width, stride) *
                   eigen_rows(layer->k.data() + column, n, state.width, stride).transpose();
  const SparseRuns& runs = state.pattern->runs;
  const T* values = state.slots.data() + head * state.pattern->slots();
  for (const SparseRun& run : runs.of_block(block))
    for (std::int64_t e = run.begin; e < run.end; ++e) {
      if (runs.order[static_cast<std::size_t>(e)] < 0) continue;
      const int position = runs.positions[static_cast<std::size_t>(e)];
      logits[position / 32 * n + run.group * 32 + position % 32] += values[e];
    }
}

/// Multiplies dense weights [rows, nodes] of a block of rows by keep * factor.
template <class T>
void pair_training_drop(const PairDropout& dropout, std::int64_t nodes, std::int64_t head, std::int64_t block,
                        T* weights) {
  const std::int64_t groups = (nodes + 31) / 32, rows = (std::min<std::int64_t>)(nodes - block * 32, 32);
  const T factor = static_cast<T>(dropout.factor);
  std::array<std::uint8_t, 128> bits;
  for (std::int64_t g = 0; g < groups; ++g) {
    dropout_mask_blocks(bits.data(), dropout.mask,
                        static_cast<std::uint64_t>(((head * groups + g) * groups + block) * 128), 128);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = g * 32; j < (std::min)(nodes, g * 32 + 32); ++j)
        weights[i * nodes + j] *=
            ((bits[static_cast<std::size_t>(i * 4 + j % 32 / 8)] >> (j % 8)) & 1) != 0 ? factor : T(0);
  }
}

template <class T>
void pair_training_forward_generic(const PairTrainingState<T>& state, TensorView<const T> v,
                                   const PairDropout& dropout, T* y, T* log_sums) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width,
                     blocks = state.pattern->blocks();
  parallel_for(state.heads * blocks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t head = t / blocks, block = t % blocks,
                         rows = (std::min<std::int64_t>)(n - block * 32, 32);
      T* p = scratch<T, 0>(32 * n);
      pair_training_logits(state, head, block, p);
      for (std::int64_t i = 0; i < rows; ++i) {
        T* row = p + i * n;
        T largest = row[0];
        for (std::int64_t j = 1; j < n; ++j) largest = row[j] > largest ? row[j] : largest;
        T sum = 0;
        for (std::int64_t j = 0; j < n; ++j) sum += row[j] = std::exp(row[j] - largest);
        for (std::int64_t j = 0; j < n; ++j) row[j] /= sum;
        log_sums[head * n + block * 32 + i] = largest + std::log(sum);
      }
      if (dropout.drops()) pair_training_drop(dropout, n, head, block, p);
      eigen_rows(y + block * 32 * stride + head * width, rows, width, stride).noalias() =
          eigen_rows(p, rows, n, n) * eigen_rows(v.data + head * width, n, width, v.stride(0));
    }
  });
}

/// Adds what G = dL/dS of a block of rows [rows, nodes] gives to queries, keys and slots.
template <class T>
void pair_training_scatter(const PairTrainingState<T>& state, std::int64_t head, std::int64_t block,
                           const T* g, const PairGradients<T>& into) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width,
                     column = head * width;
  const std::int64_t begin = block * 32, rows = (std::min<std::int64_t>)(n - begin, 32);
  const auto gradient = eigen_rows(g, rows, n, n);
  for (std::size_t l = 0; l < state.layers.size(); ++l) {
    const PairTrainingLayer<T>& layer = *state.layers[l];
    if (into.q[l] != nullptr)
      eigen_rows(into.q[l] + begin * stride + column, rows, width, stride).noalias() +=
          layer.scale * (gradient * eigen_rows(layer.k.data() + column, n, width, stride));
    if (into.k[l] != nullptr)
      eigen_rows(into.k[l] + column, n, width, stride).noalias() +=
          gradient.transpose() * eigen_rows(layer.q.data() + begin * stride + column, rows, width, stride);
  }
  if (into.slots == nullptr) return;
  const SparseRuns& runs = state.pattern->runs;
  T* slots = into.slots + head * state.pattern->slots();
  for (const SparseRun& run : runs.of_block(block))
    for (std::int64_t e = run.begin; e < run.end; ++e) {
      if (runs.order[static_cast<std::size_t>(e)] < 0) continue;
      const int position = runs.positions[static_cast<std::size_t>(e)];
      slots[e] += g[position / 32 * n + run.group * 32 + position % 32];
    }
}

template <class T>
void pair_training_backward_generic(const PairTrainingState<T>& state, TensorView<const T> v,
                                    const PairDropout& dropout, const T* y, const T* log_sums,
                                    const T* grad_y, const PairGradients<T>& into) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width,
                     blocks = state.pattern->blocks();
  parallel_for(state.heads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t head = first; head < last; ++head) {
      const std::int64_t column = head * width;
      T* a = scratch<T, 0>(2 * 32 * n);
      T* g = a + 32 * n;
      for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t begin = block * 32, rows = (std::min<std::int64_t>)(n - begin, 32);
        const auto out = eigen_rows(grad_y + begin * stride + column, rows, width, stride);
        auto weights = eigen_rows(a, rows, n, n), gradient = eigen_rows(g, rows, n, n);
        pair_training_logits(state, head, block, a);
        for (std::int64_t i = 0; i < rows; ++i)
          for (std::int64_t j = 0; j < n; ++j)
            a[i * n + j] = std::exp(a[i * n + j] - log_sums[head * n + begin + i]);
        gradient.noalias() = out * eigen_rows(v.data + column, n, width, v.stride(0)).transpose();
        if (dropout.drops()) pair_training_drop(dropout, n, head, block, g);
        for (std::int64_t i = 0; i < rows; ++i) {
          T mean = 0;  // sum_j A_ij dA_ij = grad_y_i . y_i
          for (std::int64_t c = 0; c < width; ++c)
            mean += grad_y[(begin + i) * stride + column + c] * y[(begin + i) * stride + column + c];
          for (std::int64_t j = 0; j < n; ++j) g[i * n + j] = a[i * n + j] * (g[i * n + j] - mean);
        }
        pair_training_scatter(state, head, block, g, into);
        if (into.v == nullptr) continue;
        if (dropout.drops()) pair_training_drop(dropout, n, head, block, a);
        eigen_rows(into.v + column, n, width, stride).noalias() += weights.transpose() * out;
      }
    }
  });
}

template <class T>
void pair_training_values_generic(const PairTrainingState<T>& state, const PairList& list,
                                  const T* background, T* values) {
  const std::int64_t n = state.nodes(), blocks = state.pattern->blocks(), heads = state.heads;
  parallel_for(heads * blocks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t head = t / blocks, block = t % blocks;
      const auto at = static_cast<std::size_t>(block * blocks), end = at + static_cast<std::size_t>(blocks);
      if (list.offsets[at] == list.offsets[end]) continue;
      T* s = scratch<T, 0>(32 * n);
      pair_training_logits(state, head, block, s);
      for (std::size_t g = at; g < end; ++g)
        for (auto p = static_cast<std::size_t>(list.offsets[g]);
             p < static_cast<std::size_t>(list.offsets[g + 1]); ++p)
          values[list.order[p] * heads + head] =
              s[list.positions[p] / 32 * n + static_cast<std::int64_t>(g - at) * 32 +
                list.positions[p] % 32] +
              background[head];
    }
  });
}

template <class T>
void pair_training_values_backward_generic(const PairTrainingState<T>& state, const PairList& list,
                                           const T* grad_values, const PairGradients<T>& into) {
  const std::int64_t n = state.nodes(), blocks = state.pattern->blocks(), heads = state.heads;
  parallel_for(heads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t head = first; head < last; ++head)
      for (std::int64_t block = 0; block < blocks; ++block) {
        const auto at = static_cast<std::size_t>(block * blocks), end = at + static_cast<std::size_t>(blocks);
        if (list.offsets[at] == list.offsets[end]) continue;
        T* g = scratch<T, 0>(32 * n);
        std::fill_n(g, 32 * n, T(0));
        for (std::size_t b = at; b < end; ++b)
          for (auto p = static_cast<std::size_t>(list.offsets[b]);
               p < static_cast<std::size_t>(list.offsets[b + 1]); ++p)
            g[list.positions[p] / 32 * n + static_cast<std::int64_t>(b - at) * 32 + list.positions[p] % 32] +=
                grad_values[list.order[p] * heads + head];
        pair_training_scatter(state, head, block, g, into);
      }
  });
}

/// y: [nodes, heads * width] dense, log_sums: [heads, nodes].
template <class T>
void pair_training_forward(Cpu, const PairTrainingState<T>& state, TensorView<const T> v,
                           const PairDropout& dropout, T* y, T* log_sums) {
#if defined(STOFM_X86_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level == CpuKernels::amx) return amx::pair_training_forward(state, v, dropout, y, log_sums);
#endif
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level != CpuKernels::generic)
      return STOFM_AT_LEVEL(state.level, pair_training_forward(state, v, dropout, y, log_sums));
#endif
  pair_training_forward_generic(state, v, dropout, y, log_sums);
}
template <class T>
void pair_training_backward(Cpu, const PairTrainingState<T>& state, TensorView<const T> v,
                            const PairDropout& dropout, const T* y, const T* log_sums, const T* grad_y,
                            const PairGradients<T>& into) {
#if defined(STOFM_X86_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level == CpuKernels::amx)
      return amx::pair_training_backward(state, v, dropout, y, log_sums, grad_y, into);
#endif
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level != CpuKernels::generic)
      return STOFM_AT_LEVEL(state.level,
                            pair_training_backward(state, v, dropout, y, log_sums, grad_y, into));
#endif
  pair_training_backward_generic(state, v, dropout, y, log_sums, grad_y, into);
}
/// values: [pairs, heads].
template <class T>
void pair_training_values(Cpu, const PairTrainingState<T>& state, const PairList& list, const T* background,
                          T* values) {
#if defined(STOFM_X86_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level == CpuKernels::amx) return amx::pair_training_values(state, list, background, values);
#endif
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level != CpuKernels::generic)
      return STOFM_AT_LEVEL(state.level, pair_training_values(state, list, background, values));
#endif
  pair_training_values_generic(state, list, background, values);
}
template <class T>
void pair_training_values_backward(Cpu, const PairTrainingState<T>& state, const PairList& list,
                                   const T* grad_values, const PairGradients<T>& into) {
#if defined(STOFM_X86_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level == CpuKernels::amx)
      return amx::pair_training_values_backward(state, list, grad_values, into);
#endif
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level != CpuKernels::generic)
      return STOFM_AT_LEVEL(state.level, pair_training_values_backward(state, list, grad_values, into));
#endif
  pair_training_values_backward_generic(state, list, grad_values, into);
}

STOFM_KERNEL_INSTANCES(pair_training_layer)
STOFM_KERNEL_INSTANCES(pair_training_forward)
STOFM_KERNEL_INSTANCES(pair_training_backward)
STOFM_KERNEL_INSTANCES(pair_training_values)
STOFM_KERNEL_INSTANCES(pair_training_values_backward)

}  // namespace stofm::backend
