// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention whose logits add up over layers and start from a sparse bias, on the CPU. See
/// ops/pair_attention.hpp.

#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// What the layers so far left behind: their queries and keys, and the bias. O(nodes) per head and layer.
template <class T>
struct PairState {
  std::int64_t nodes = 0, heads = 0, width = 0, layer_count = 0;
  MatmulGrade grade = MatmulGrade::float32;
  std::vector<std::int64_t> row_offsets;
  std::vector<std::int32_t> columns;
  Tensor<T> values;
  std::vector<T> background;
  std::vector<std::pair<Tensor<T>, Tensor<T>>> layers;  ///< (q, k), [nodes, heads * width] each
};

/// logits [rows, nodes] of one head for rows [begin, end): sum over layers of q k^T, plus the listed bias
/// entries.
template <class T>
void pair_logits_generic(const PairState<T>& state, std::int64_t head, std::int64_t begin, std::int64_t end,
                         T* logits) {
  const std::int64_t n = state.nodes, column = head * state.width;
  auto s = eigen_rows(logits, end - begin, n, n);
  s.setZero();
  for (const auto& [q, k] : state.layers)
    s.noalias() +=
        eigen_rows(q.data() + begin * q.stride(0) + column, end - begin, state.width, q.stride(0)) *
        eigen_rows(k.data() + column, n, state.width, k.stride(0)).transpose();
  const T* values = state.values.data() + head * state.values.stride(0);
  for (std::int64_t i = begin; i < end; ++i)
    for (std::int64_t e = state.row_offsets[static_cast<std::size_t>(i)];
         e < state.row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
      logits[(i - begin) * n + state.columns[static_cast<std::size_t>(e)]] += values[e];
}

template <class T>
PairState<T> pair_state(Cpu, std::int64_t nodes, std::int64_t heads, std::int64_t width,
                        const SparsePairBias<T>& bias, MatmulGrade grade) {
  PairState<T> state;
  state.nodes = nodes;
  state.heads = heads;
  state.width = width;
  state.grade = grade;
  state.row_offsets.assign(bias.row_offsets.begin(), bias.row_offsets.end());
  state.columns.assign(bias.columns.begin(), bias.columns.end());
  state.values = bias.values.clone();
  state.background = bias.background;
  return state;
}

template <class T>
void pair_reset(Cpu, PairState<T>& state) {
  state.layers.clear();
  state.layer_count = 0;
}

/// out: [rows, nodes, heads], background included.
template <class T>
void pair_rows(Cpu, const PairState<T>& state, TensorView<T> out, std::span<const std::int64_t> rows) {
  const std::int64_t n = state.nodes, heads = state.heads;
  parallel_for(static_cast<std::int64_t>(rows.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      T* logits = scratch<T, 0>(n);
      for (std::int64_t h = 0; h < heads; ++h) {
        const std::int64_t row = rows[static_cast<std::size_t>(r)];
        pair_logits_generic(state, h, row, row + 1, logits);
        for (std::int64_t j = 0; j < n; ++j)
          out.data[(r * n + j) * heads + h] = logits[j] + state.background[static_cast<std::size_t>(h)];
      }
    }
  });
}

template <class T>
void pair_append(Cpu, PairState<T>& state, TensorView<const T> q, TensorView<const T> k) {
  auto copy = [](TensorView<const T> from) {
    Tensor<T> to(from.shape);
    parallel_for(from.dim(0), 128, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        std::copy(from.row(i), from.row(i) + from.dim(1), to.data() + i * from.dim(1));
    });
    return to;
  };
  state.layers.emplace_back(copy(q), copy(k));
  ++state.layer_count;
}

template <class T>
void pair_attend(Cpu, const PairState<T>& state, TensorView<T> y, TensorView<const T> v) {
  constexpr std::int64_t block = 32;
  const std::int64_t n = state.nodes, width = state.width, blocks = (n + block - 1) / block;
  parallel_for(blocks * state.heads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t head = t / blocks, begin = t % blocks * block, end = std::min(n, begin + block);
      T* logits = scratch<T, 0>((end - begin) * n);
      pair_logits_generic(state, head, begin, end, logits);
      for (std::int64_t i = 0; i < end - begin; ++i) softmax_row_generic(logits + i * n, n);
      eigen_rows(y.row(begin) + head * width, end - begin, width, y.stride(0)).noalias() =
          eigen_rows(logits, end - begin, n, n) * eigen_rows(v.data + head * width, n, width, v.stride(0));
    }
  });
}

}  // namespace stofm::backend
