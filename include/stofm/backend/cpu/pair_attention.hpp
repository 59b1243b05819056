// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention and its gradient on the CPU: the plain form of every step, and the choice of the kernels.
/// See ops/pair_attention.hpp for the formulas and pair_attention_state.hpp for what is kept.

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "stofm/backend/cpu/amx/pair_attention_backward.hpp"
#include "stofm/backend/cpu/bfloat16/attention.hpp"
#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/pair_attention_state.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/backend/cpu/vector/pair_attention.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::backend {

template <class T>
void pack_pair_layer([[maybe_unused]] const PairState<T>& state, [[maybe_unused]] PairLayer<T>& layer) {
  if (state.rounded()) {
    STOFM_RETURN_BFLOAT16_KERNEL(T, state.level, pack_pair_layer(state, layer))
  }
  STOFM_RETURN_TILE_KERNEL(T, state.level, pack_pair_layer(state, layer))
}

template <class T>
std::shared_ptr<const PairLayer<T>> pair_layer(Cpu, const PairState<T>& state, TensorView<const T> q,
                                               TensorView<const T> k, double scale) {
  auto layer = std::make_shared<PairLayer<T>>();
  layer->scale = static_cast<T>(scale);
  auto copy = [rounded = state.rounded()](TensorView<const T> from, T factor) {
    Tensor<T> to(from.shape);
    const std::int64_t columns = from.dim(1);
    parallel_for(from.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* in = from.row(i);
        T* const out = to.data() + i * columns;
        std::transform(in, in + columns, out, [factor](T x) { return x * factor; });
        if (rounded) round_row(out, columns);
      }
    });
    return to;
  };
  layer->q = copy(q, layer->scale);
  layer->k = copy(k, T(1));
  pack_pair_layer(state, *layer);
  return layer;
}

/// Dense logits [rows, nodes] of one head: rows [begin, begin + rows) of every layer and the listed values.
template <class T>
void pair_logits(const PairState<T>& state, std::int64_t head, std::int64_t begin, std::int64_t rows,
                 T* logits) {
  const std::int64_t n = state.nodes(), stride = state.heads * state.width, column = head * state.width;
  auto s = eigen_rows(logits, rows, n, n);
  s.setZero();
  for (const auto& layer : state.layers)
    s.noalias() += eigen_rows(layer->q.data() + begin * stride + column, rows, state.width, stride) *
                   eigen_rows(layer->k.data() + column, n, state.width, stride).transpose();
  const SparseRuns& runs = state.pairs->runs;
  const T* values = state.slots.data() + head * state.pairs->slots();
  for (std::int64_t block = begin / 32; block * 32 < begin + rows; ++block)
    for (const SparseRun& run : runs.of_block(block))
      for (std::int64_t e = run.begin; e < run.end; ++e) {
        const int position = runs.positions[static_cast<std::size_t>(e)];
        const std::int64_t i = block * 32 + position / 32 - begin;
        if (runs.order[static_cast<std::size_t>(e)] >= 0 && i >= 0 && i < rows)
          logits[i * n + run.group * 32 + position % 32] += values[e];
      }
}

/// out: [rows, nodes, heads]: P without background, in float32 whatever the level.
template <class T>
void pair_rows(Cpu, const PairState<T>& state, TensorView<T> out, std::span<const std::int64_t> rows) {
  const std::int64_t n = state.nodes(), heads = state.heads;
  parallel_for(static_cast<std::int64_t>(rows.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      T* logits = scratch<T, 0>(n);
      for (std::int64_t h = 0; h < heads; ++h) {
        pair_logits(state, h, rows[static_cast<std::size_t>(r)], 1, logits);
        for (std::int64_t j = 0; j < n; ++j) out.data[(r * n + j) * heads + h] = logits[j];
      }
    }
  });
}

/// Multiplies dense weights [rows, nodes] of a block of rows by keep * factor.
template <class T>
void pair_drop(const WeightDropout& dropout, std::int64_t nodes, std::int64_t head, std::int64_t block,
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
void pair_forward_generic(const PairState<T>& state, TensorView<T> y, TensorView<const T> v,
                          const WeightDropout& dropout, T* log_sums) {
  const std::int64_t n = state.nodes(), width = state.width, blocks = state.pairs->blocks();
  Tensor<T> rounded_v;
  if (state.rounded()) round_operand(v, rounded_v);
  parallel_for(state.heads * blocks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t head = t / blocks, begin = t % blocks * 32,
                         rows = (std::min<std::int64_t>)(n - begin, 32);
      T* p = scratch<T, 0>(32 * n);
      pair_logits(state, head, begin, rows, p);
      for (std::int64_t i = 0; i < rows; ++i) {
        const double log_sum = softmax_row(p + i * n, n);
        if (log_sums != nullptr) log_sums[head * n + begin + i] = static_cast<T>(log_sum);
      }
      if (state.rounded()) round_row(p, rows * n);
      if (dropout.drops()) pair_drop(dropout, n, head, t % blocks, p);
      eigen_rows(y.row(begin) + head * width, rows, width, y.stride(0)).noalias() =
          eigen_rows(p, rows, n, n) * eigen_rows(v.data + head * width, n, width, v.stride(0));
    }
  });
}

/// Adds what G = dL/dS of a block of rows [rows, nodes] gives to queries, keys and slots.
template <class T>
void pair_scatter(const PairState<T>& state, std::int64_t head, std::int64_t block, const T* g,
                  const PairGradients<T>& into) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width,
                     column = head * width;
  const std::int64_t begin = block * 32, rows = (std::min<std::int64_t>)(n - begin, 32);
  const auto gradient = eigen_rows(g, rows, n, n);
  for (std::size_t l = 0; l < state.layers.size(); ++l) {
    const PairLayer<T>& layer = *state.layers[l];
    if (into.q[l] != nullptr)
      eigen_rows(into.q[l] + begin * stride + column, rows, width, stride).noalias() +=
          layer.scale * (gradient * eigen_rows(layer.k.data() + column, n, width, stride));
    if (into.k[l] != nullptr)
      eigen_rows(into.k[l] + column, n, width, stride).noalias() +=
          gradient.transpose() * eigen_rows(layer.q.data() + begin * stride + column, rows, width, stride);
  }
  if (into.slots == nullptr) return;
  const SparseRuns& runs = state.pairs->runs;
  T* slots = into.slots + head * state.pairs->slots();
  for (const SparseRun& run : runs.of_block(block))
    for (std::int64_t e = run.begin; e < run.end; ++e) {
      if (runs.order[static_cast<std::size_t>(e)] < 0) continue;
      const int position = runs.positions[static_cast<std::size_t>(e)];
      slots[e] += g[position / 32 * n + run.group * 32 + position % 32];
    }
}

template <class T>
void pair_backward_generic(const PairState<T>& state, TensorView<const T> v, const WeightDropout& dropout,
                           const T* y, const T* log_sums, const T* grad_y, const PairGradients<T>& into) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width,
                     blocks = state.pairs->blocks();
  parallel_for(state.heads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t head = first; head < last; ++head) {
      const std::int64_t column = head * width;
      T* a = scratch<T, 0>(2 * 32 * n);
      T* g = a + 32 * n;
      for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t begin = block * 32, rows = (std::min<std::int64_t>)(n - begin, 32);
        const auto out = eigen_rows(grad_y + begin * stride + column, rows, width, stride);
        auto weights = eigen_rows(a, rows, n, n), gradient = eigen_rows(g, rows, n, n);
        pair_logits(state, head, begin, rows, a);
        for (std::int64_t i = 0; i < rows; ++i)
          for (std::int64_t j = 0; j < n; ++j)
            a[i * n + j] = std::exp(a[i * n + j] - log_sums[head * n + begin + i]);
        gradient.noalias() = out * eigen_rows(v.data + column, n, width, v.stride(0)).transpose();
        if (dropout.drops()) pair_drop(dropout, n, head, block, g);
        for (std::int64_t i = 0; i < rows; ++i) {
          T mean = 0;  // sum_j A_ij dA_ij = grad_y_i . y_i
          for (std::int64_t c = 0; c < width; ++c)
            mean += grad_y[(begin + i) * stride + column + c] * y[(begin + i) * stride + column + c];
          for (std::int64_t j = 0; j < n; ++j) g[i * n + j] = a[i * n + j] * (g[i * n + j] - mean);
        }
        pair_scatter(state, head, block, g, into);
        if (into.v == nullptr) continue;
        if (dropout.drops()) pair_drop(dropout, n, head, block, a);
        eigen_rows(into.v + column, n, width, stride).noalias() += weights.transpose() * out;
      }
    }
  });
}

template <class T>
void pair_values_generic(const PairState<T>& state, const AskedPairs& list, const T* background, T* values) {
  const std::int64_t n = state.nodes(), blocks = state.pairs->blocks(), heads = state.heads;
  parallel_for(heads * blocks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t head = t / blocks, block = t % blocks;
      const auto at = static_cast<std::size_t>(block * blocks), end = at + static_cast<std::size_t>(blocks);
      if (list.offsets[at] == list.offsets[end]) continue;
      T* s = scratch<T, 0>(32 * n);
      pair_logits(state, head, block * 32, (std::min<std::int64_t>)(n - block * 32, 32), s);
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
void pair_values_backward_generic(const PairState<T>& state, const AskedPairs& list, const T* grad_values,
                                  const PairGradients<T>& into) {
  const std::int64_t n = state.nodes(), blocks = state.pairs->blocks(), heads = state.heads;
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
        pair_scatter(state, head, block, g, into);
      }
  });
}

/// y: [nodes, heads * width] with dense rows; log_sums: [heads, nodes] or null. Of rounded states, null, and
/// no dropout.
template <class T>
void pair_forward(Cpu, const PairState<T>& state, TensorView<T> y, TensorView<const T> v,
                  const WeightDropout& dropout, T* log_sums) {
  if (state.rounded()) {
    STOFM_RETURN_BFLOAT16_KERNEL(T, state.level, pair_forward(state, y, v))
  }
  STOFM_RETURN_TILE_KERNEL(T, state.level, pair_forward(state, y, v, dropout, log_sums))
  pair_forward_generic(state, y, v, dropout, log_sums);
}
template <class T>
void pair_backward(Cpu, const PairState<T>& state, TensorView<const T> v, const WeightDropout& dropout,
                   const T* y, const T* log_sums, const T* grad_y, const PairGradients<T>& into) {
  STOFM_RETURN_TILE_KERNEL(T, state.level, pair_backward(state, v, dropout, y, log_sums, grad_y, into))
  pair_backward_generic(state, v, dropout, y, log_sums, grad_y, into);
}
/// values: [pairs, heads].
template <class T>
void pair_values(Cpu, const PairState<T>& state, const AskedPairs& list, const T* background, T* values) {
  STOFM_RETURN_TILE_KERNEL(T, state.level, pair_values(state, list, background, values))
  pair_values_generic(state, list, background, values);
}
template <class T>
void pair_values_backward(Cpu, const PairState<T>& state, const AskedPairs& list, const T* grad_values,
                          const PairGradients<T>& into) {
  STOFM_RETURN_TILE_KERNEL(T, state.level, pair_values_backward(state, list, grad_values, into))
  pair_values_backward_generic(state, list, grad_values, into);
}

STOFM_KERNEL_INSTANCES(pair_layer)
STOFM_KERNEL_INSTANCES(pair_rows)
STOFM_KERNEL_INSTANCES(pair_forward)
STOFM_KERNEL_INSTANCES(pair_backward)
STOFM_KERNEL_INSTANCES(pair_values)
STOFM_KERNEL_INSTANCES(pair_values_backward)

}  // namespace stofm::backend
