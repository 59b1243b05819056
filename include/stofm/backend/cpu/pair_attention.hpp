// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention whose logits add up over layers and start from a sparse bias, on the CPU. See
/// ops/pair_attention.hpp.

#include <span>
#include <utility>
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

/// What one layer left behind: its queries and keys [nodes, heads * width], and their packed forms where the
/// kernels of the level want them (AMX: both as [heads][tiles][groups][2 KB]; vectors: keys as
/// [heads][panels of pack_panels_transposed]; bfloat16: both as bfloat16/attention.hpp has them).
template <class T>
struct PairLayer {
  Tensor<T> q, k;
  Tensor<std::uint8_t> packed_q, packed_k;
};

/// What the layers so far left behind, and the bias. O(nodes) per head and layer, O(entries) per head.
template <class T>
struct PairState {
  std::int64_t nodes = 0, heads = 0, width = 0, layer_count = 0;
  MatmulGrade grade = MatmulGrade::float32;
  CpuKernels level = CpuKernels::generic;
  std::vector<std::int64_t> row_offsets;
  std::vector<std::int32_t> columns;
  Tensor<T> values;  ///< [heads, entries], for AMX [heads, slots of `runs`]
  std::vector<T> background;
  SparseRuns runs;
  std::vector<PairLayer<T>> layers;

  std::int64_t row_blocks() const { return (nodes + 31) / 32; }
  /// Bytes of one head of packed_q and packed_k (AMX).
  std::int64_t head_bytes() const { return row_blocks() * 2 * ((width + 31) / 32) * 3072; }
};

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
  state.background = bias.background;
  if constexpr (std::is_same_v<T, float>) state.level = cpu_kernels();
#if defined(STOFM_X86_KERNELS)
  if (state.level == CpuKernels::amx && grade == MatmulGrade::float32) {
    state.runs = make_sparse_runs(nodes, state.row_offsets, state.columns);
    const auto slots = static_cast<std::int64_t>(state.runs.order.size());
    const auto given = bias.values.view();
    state.values = Tensor<T>(Shape{heads, slots});
    parallel_for(heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t h = begin; h < end; ++h)
        for (std::int64_t s = 0; s < slots; ++s) {
          const std::int64_t e = state.runs.order[static_cast<std::size_t>(s)];
          state.values.data()[h * slots + s] =
              e < 0 ? T(0) : given.data[h * given.stride(0) + e * given.stride(1)];
        }
    });
    return state;
  }
#endif
  state.values = bias.values.clone();
  return state;
}

template <class T>
void pair_reset(Cpu, PairState<T>& state) {
  state.layers.clear();
  state.layer_count = 0;
}

/// logits [rows, nodes] of one head for rows [begin, end): sum over layers of q k^T, plus the listed bias
/// entries.
template <class T>
void pair_logits_generic(const PairState<T>& state, std::int64_t head, std::int64_t begin, std::int64_t end,
                         T* logits) {
  const std::int64_t n = state.nodes, column = head * state.width;
  auto s = eigen_rows(logits, end - begin, n, n);
  s.setZero();
  for (const auto& layer : state.layers)
    s.noalias() += eigen_rows(layer.q.data() + begin * layer.q.stride(0) + column, end - begin, state.width,
                              layer.q.stride(0)) *
                   eigen_rows(layer.k.data() + column, n, state.width, layer.k.stride(0)).transpose();
  const T* values = state.values.data() + head * state.values.dim(1);
  if (!state.runs.block_offsets.empty()) {
    for (std::int64_t block = begin / 32; block * 32 < end; ++block)
      for (const SparseRun& run : state.runs.of_block(block))
        for (std::int64_t e = run.begin; e < run.end; ++e) {
          const int position = state.runs.positions[static_cast<std::size_t>(e)];
          const std::int64_t i = block * 32 + position / 32, j = run.group * 32 + position % 32;
          if (i >= begin && i < end && j < n)
            logits[(i - begin) * n + j] += values[e];  // whole groups pass the end
        }
    return;
  }
  for (std::int64_t i = begin; i < end; ++i)
    for (std::int64_t e = state.row_offsets[static_cast<std::size_t>(i)];
         e < state.row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
      logits[(i - begin) * n + state.columns[static_cast<std::size_t>(e)]] += values[e];
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

#if defined(STOFM_X86_KERNELS)
inline void pair_pack_amx(const PairState<float>& state, PairLayer<float>& layer) {
  const std::int64_t n = state.nodes, width = state.width, blocks = state.row_blocks();
  const auto q = std::as_const(layer.q).view(), k = std::as_const(layer.k).view();
  const std::int64_t tile_step = amx::groups_of(width) * amx::group_bytes;
  layer.packed_q = Tensor<std::uint8_t>(Shape{state.heads * state.head_bytes()});
  layer.packed_k = Tensor<std::uint8_t>(Shape{state.heads * state.head_bytes()});
  parallel_for(state.heads * blocks, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t head = t / blocks, block = t % blocks, at = head * state.head_bytes();
      amx::pack_row_block(layer.packed_q.data() + at + block * 2 * tile_step,
                          q.row(block * 32) + head * width, q.stride(0),
                          (std::min<std::int64_t>)(n - block * 32, 32), width, 1.0F);
      amx::pack_key_tiles(layer.packed_k.data() + at, k.data + head * width, k.stride(0), n, width, block * 2,
                          block * 2 + 2);
    }
  });
}

inline void pair_attend_amx(const PairState<float>& state, TensorView<float> y, TensorView<const float> v) {
  const std::int64_t n = state.nodes, width = state.width, blocks = state.row_blocks(),
                     groups = amx::groups_of(width);
  const std::int64_t value_step = amx::groups_of(n) * amx::group_bytes,
                     value_bytes = (width + 31) / 32 * 2 * value_step;
  const std::int64_t entries = state.values.dim(1);
  std::uint8_t* values = scratch_bytes<5>(state.heads * value_bytes);
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t h = begin; h < end; ++h)
      amx::pack_values(values + h * value_bytes, v.data + h * width, v.stride(0), n, width);
  });
  parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<amx::Segment> segments(state.layers.size());
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t head = t / blocks, block = t % blocks, at = head * state.head_bytes();
      for (std::size_t s = 0; s < segments.size(); ++s)
        segments[s] = {state.layers[s].packed_q.data() + at + block * 2 * groups * amx::group_bytes,
                       state.layers[s].packed_k.data() + at};
      amx::attend_rows(
          y.row(block * 32) + head * width, y.stride(0), (std::min<std::int64_t>)(n - block * 32, 32), n,
          segments, groups, values + head * value_bytes, value_step, width,
          {state.runs.of_block(block), state.runs.positions.data(), state.values.data() + head * entries});
    }
  });
}
#endif

#if defined(STOFM_VECTOR_KERNELS)
inline void pair_pack_bfloat16(const PairState<float>& state, PairLayer<float>& layer) {
  const std::int64_t bytes =
      STOFM_AT_BFLOAT16(state.level, pair_words(state.nodes, state.heads, state.width)) * 4;
  layer.packed_q = Tensor<std::uint8_t>(Shape{bytes});
  layer.packed_k = Tensor<std::uint8_t>(Shape{bytes});
  STOFM_AT_BFLOAT16(state.level, pack_pair_layer(reinterpret_cast<float*>(layer.packed_q.data()),
                                                 reinterpret_cast<float*>(layer.packed_k.data()),
                                                 std::as_const(layer.q).view(), std::as_const(layer.k).view(),
                                                 state.heads));
}

inline void pair_attend_bfloat16(const PairState<float>& state, TensorView<float> y,
                                 TensorView<const float> v) {
  std::vector<PairWords> layers;
  for (const PairLayer<float>& layer : state.layers)
    layers.push_back({reinterpret_cast<const float*>(layer.packed_q.data()),
                      reinterpret_cast<const float*>(layer.packed_k.data())});
  const PairAdditions bias{state.row_offsets.data(), state.columns.data(), state.values.data(),
                           state.values.dim(1)};
  STOFM_AT_BFLOAT16(state.level, attend_pairs(y, v, layers, state.heads, bias));
}

inline void pair_pack(const PairState<float>& state, PairLayer<float>& layer) {
  if (state.level == CpuKernels::generic) return;
  if (state.grade == MatmulGrade::bfloat16) return pair_pack_bfloat16(state, layer);
#if defined(STOFM_X86_KERNELS)
  if (state.level == CpuKernels::amx) return pair_pack_amx(state, layer);
#endif
  const std::int64_t n = state.nodes, width = state.width, blocks = state.row_blocks();
  const auto k = std::as_const(layer.k).view();
  layer.packed_k = Tensor<std::uint8_t>(Shape{state.heads * blocks * 32 * width * 4});
  auto* panels = reinterpret_cast<float*>(layer.packed_k.data());
  parallel_for(state.heads * blocks, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      STOFM_AT_LEVEL(state.level, pack_panels_transposed(
                                      panels + t * 32 * width, k.row(t % blocks * 32) + t / blocks * width,
                                      k.stride(0), (std::min<std::int64_t>)(n - t % blocks * 32, 32), width));
  });
}

inline void pair_attend_vectors(const PairState<float>& state, TensorView<float> y,
                                TensorView<const float> v) {
  const std::int64_t rows = STOFM_AT_LEVEL(state.level, attention_rows);
  const std::int64_t n = state.nodes, width = state.width, blocks = (n + rows - 1) / rows;
  const std::int64_t value_floats = (width + 31) / 32 * 32 * n,
                     panel_floats = state.row_blocks() * 32 * width;
  const std::int64_t entries = state.values.dim(1);
  float* values = scratch<float, 5>(state.heads * value_floats);
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t h = begin; h < end; ++h)
      STOFM_AT_LEVEL(state.level,
                     pack_panels(values + h * value_floats, v.data + h * width, v.stride(0), n, width));
  });
  parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<PanelSegment> segments(state.layers.size());
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t head = t / blocks, first = t % blocks * rows;
      for (std::size_t s = 0; s < segments.size(); ++s)
        segments[s] = {state.layers[s].q.data() + first * state.heads * width + head * width,
                       reinterpret_cast<const float*>(state.layers[s].packed_k.data()) + head * panel_floats};
      const RowAdditions bias{state.row_offsets.data() + first, state.columns.data(),
                              state.values.data() + head * entries};
      STOFM_AT_LEVEL(state.level, attend_rows(y.row(first) + head * width, y.stride(0),
                                              (std::min)(n - first, rows), n, segments, state.heads * width,
                                              width, 1.0F, values + head * value_floats, width, bias));
    }
  });
}
#endif

template <class T>
void pair_append(Cpu, PairState<T>& state, TensorView<const T> q, TensorView<const T> k) {
  const bool rounded = std::is_same_v<T, float> && state.grade == MatmulGrade::bfloat16;
  auto copy = [rounded](TensorView<const T> from) {
    Tensor<T> to(from.shape);
    parallel_for(from.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        T* row = to.data() + i * from.dim(1);
        std::copy(from.row(i), from.row(i) + from.dim(1), row);
        if (rounded) round_row(row, from.dim(1));
      }
    });
    return to;
  };
  PairLayer<T> layer{copy(q), copy(k), {}, {}};
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) pair_pack(state, layer);
#endif
  state.layers.push_back(std::move(layer));
  ++state.layer_count;
}

template <class T>
void pair_attend(Cpu, const PairState<T>& state, TensorView<T> y, TensorView<const T> v) {
  const bool rounded = std::is_same_v<T, float> && state.grade == MatmulGrade::bfloat16;
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (rounded && state.level != CpuKernels::generic) return pair_attend_bfloat16(state, y, v);
#endif
#if defined(STOFM_X86_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level == CpuKernels::amx) return pair_attend_amx(state, y, v);
#endif
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (state.level != CpuKernels::generic) return pair_attend_vectors(state, y, v);
#endif
  Tensor<T> rounded_v;
  if (rounded) round_operand(v, rounded_v);
  constexpr std::int64_t block = 32;
  const std::int64_t n = state.nodes, width = state.width, blocks = (n + block - 1) / block;
  parallel_for(blocks * state.heads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t head = t / blocks, begin = t % blocks * block, end = (std::min)(n, begin + block);
      T* logits = scratch<T, 0>((end - begin) * n);
      pair_logits_generic(state, head, begin, end, logits);
      for (std::int64_t i = 0; i < end - begin; ++i) softmax_row_generic(logits + i * n, n);
      if (rounded) round_row(logits, (end - begin) * n);
      eigen_rows(y.row(begin) + head * width, end - begin, width, y.stride(0)).noalias() =
          eigen_rows(logits, end - begin, n, n) * eigen_rows(v.data + head * width, n, width, v.stride(0));
    }
  });
}

STOFM_KERNEL_INSTANCE(PairState<float> pair_state<float>(Cpu, std::int64_t nodes, std::int64_t heads,
                                                         std::int64_t width,
                                                         const SparsePairBias<float>& bias,
                                                         MatmulGrade grade))
STOFM_KERNEL_INSTANCE(PairState<double> pair_state<double>(Cpu, std::int64_t nodes, std::int64_t heads,
                                                           std::int64_t width,
                                                           const SparsePairBias<double>& bias,
                                                           MatmulGrade grade))
STOFM_KERNEL_INSTANCE(void pair_rows<float>(Cpu, const PairState<float>& state, TensorView<float> out,
                                            std::span<const std::int64_t> rows))
STOFM_KERNEL_INSTANCE(void pair_rows<double>(Cpu, const PairState<double>& state, TensorView<double> out,
                                             std::span<const std::int64_t> rows))
STOFM_KERNEL_INSTANCE(void pair_append<float>(Cpu, PairState<float>& state, TensorView<const float> q,
                                              TensorView<const float> k))
STOFM_KERNEL_INSTANCE(void pair_append<double>(Cpu, PairState<double>& state, TensorView<const double> q,
                                               TensorView<const double> k))
STOFM_KERNEL_INSTANCE(void pair_attend<float>(Cpu, const PairState<float>& state, TensorView<float> y,
                                              TensorView<const float> v))
STOFM_KERNEL_INSTANCE(void pair_attend<double>(Cpu, const PairState<double>& state, TensorView<double> y,
                                               TensorView<const double> v))

}  // namespace stofm::backend
