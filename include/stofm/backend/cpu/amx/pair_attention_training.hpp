// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention with its gradient on AMX tiles. Formulas: ops/pair_attention_training.hpp. All products are
/// of floats split in two bfloat16 (amx/split_tiles.hpp), sums float32.
///
/// Forward, per head and 32 rows: as amx/attention.hpp, with the dropped weights left out of the product (not
/// of the sum) and log sum exp kept.
///
/// Backward: amx/pair_attention_training_backward.hpp.

#include <cmath>

#include "stofm/backend/cpu/amx/attention.hpp"
#include "stofm/backend/cpu/amx/split_tiles.hpp"
#include "stofm/backend/cpu/pair_attention_training_state.hpp"
#include "stofm/backend/cpu/vector/dropout_mask.hpp"
#include "stofm/core/parallel.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// Bytes of one head of a layer's packed queries or keys.
inline std::int64_t pair_head_bytes(std::int64_t nodes, std::int64_t width) {
  return (nodes + 31) / 32 * 2 * groups_of(width) * split_bytes;
}

inline void pack_pair_layer(PairTrainingLayer<float>& layer, std::int64_t heads, std::int64_t width) {
  const std::int64_t n = layer.q.dim(0), stride = heads * width, blocks = (n + 31) / 32,
                     step = 2 * groups_of(width) * split_bytes,
                     bytes = checked_mul(heads, pair_head_bytes(n, width));
  layer.packed_q = Tensor<std::uint8_t>(Shape{bytes});
  layer.packed_k = Tensor<std::uint8_t>(Shape{bytes});
  parallel_for(heads * blocks, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t from = t % blocks * 32 * stride + t / blocks * width,
                         rows = (std::min<std::int64_t>)(n - t % blocks * 32, 32);
      pack_split_tiles<false>(layer.packed_q.data() + t * step, layer.q.data() + from, stride, rows, width);
      pack_split_tiles<true>(layer.packed_k.data() + t * step, layer.k.data() + from, stride, rows, width);
    }
  });
}

/// What one head of the logits is made of.
struct PairHead {
  const PairTrainingState<float>& state;
  std::int64_t head, nodes, width, groups, blocks;
  std::int64_t k_groups, tile_step, block_step;  ///< groups of width; bytes between tiles and row blocks

  PairHead(const PairTrainingState<float>& of, std::int64_t which)
      : state(of),
        head(which),
        nodes(of.nodes()),
        width(of.width),
        groups((nodes + 31) / 32),
        blocks(groups),
        k_groups(groups_of(width)),
        tile_step(k_groups * split_bytes),
        block_step(2 * tile_step) {}

  const std::uint8_t* q(std::size_t layer, std::int64_t block) const {
    return state.layers[layer]->packed_q.data() + (head * blocks + block) * block_step;
  }
  const std::uint8_t* k(std::size_t layer, std::int64_t group) const {
    return state.layers[layer]->packed_k.data() + (head * blocks + group) * block_step;
  }
  const float* slots() const { return state.slots.data() + head * state.pattern->slots(); }
};

/// sums [32, 32] of one block: q k^T over the layers.
STOFM_TARGET_AMX inline void pair_logits(const PairHead& from, std::int64_t block, std::int64_t group,
                                         float* sums) {
  zero_sums();
  for (std::size_t l = 0; l < from.state.layers.size(); ++l) {
    const std::uint8_t *left = from.q(l, block), *right = from.k(l, group);
    for (std::int64_t g = 0; g < from.k_groups; ++g)
      multiply_split(left + g * split_bytes, from.tile_step, right + g * split_bytes, from.tile_step,
                     right + from.block_step + g * split_bytes);
  }
  store_sums(sums, 128);
}

/// Adds the listed values of a block.
STOFM_TARGET_AMX inline void add_run(float* block, const SparseRun* run, const std::uint16_t* positions,
                                     const float* values) {
  if (run == nullptr) return;
  if (run->whole()) {
    const float* whole = values + run->begin;
    for (std::int64_t e = 0; e < 1024; e += 16)
      _mm512_store_ps(block + e, _mm512_add_ps(_mm512_load_ps(block + e), _mm512_loadu_ps(whole + e)));
    return;
  }
  for (std::int64_t e = run->begin; e < run->end; ++e) block[positions[e]] += values[e];
}

/// The other way: adds the elements of a block to the gradients of the listed values.
STOFM_TARGET_AMX inline void take_run(const float* block, const SparseRun* run,
                                      const std::uint16_t* positions, float* values) {
  if (run == nullptr) return;
  if (run->whole()) {
    float* whole = values + run->begin;
    for (std::int64_t e = 0; e < 1024; e += 16)
      _mm512_storeu_ps(whole + e, _mm512_add_ps(_mm512_load_ps(block + e), _mm512_loadu_ps(whole + e)));
    return;
  }
  for (std::int64_t e = run->begin; e < run->end; ++e) values[e] += block[positions[e]];
}

/// Keep bits of a block: row r in kept[r], column c in bit c. All ones without dropout; columns past the end
/// are kept.
STOFM_TARGET_AMX inline void keep_block(std::uint32_t (&kept)[32], const PairDropout& dropout,
                                        const PairHead& from, std::int64_t block, std::int64_t group) {
  if (!dropout.drops()) {
    for (std::uint32_t& row : kept) row = ~0U;
    return;
  }
  avx512::dropout_mask_blocks(
      reinterpret_cast<std::uint8_t*>(kept), dropout.mask,
      static_cast<std::uint64_t>(((from.head * from.groups + group) * from.groups + block) * 128), 128);
}

/// exp(logit - maximum) of one group, summed; those kept are split in place: per row [32 hi][32 mid].
STOFM_TARGET_AMX inline void exponentiate_kept(float* group, const std::uint32_t (&kept)[32],
                                               RowState& state) {
  for (std::int64_t r = 0; r < block_rows; ++r) {
    float* row = group + r * 32;
    const __m512 m = _mm512_set1_ps(state.maximum[r]);
    const __m512 p0 = avx512::exponential(_mm512_sub_ps(_mm512_load_ps(row), m), softmax_floor);
    const __m512 p1 = avx512::exponential(_mm512_sub_ps(_mm512_load_ps(row + 16), m), softmax_floor);
    _mm512_store_ps(state.lane_sum[r],
                    _mm512_add_ps(_mm512_load_ps(state.lane_sum[r]), _mm512_add_ps(p0, p1)));
    __m512i hi, lo;
    avx512::split_pairs(_mm512_maskz_mov_ps(static_cast<__mmask16>(kept[r]), p0),
                        _mm512_maskz_mov_ps(static_cast<__mmask16>(kept[r] >> 16), p1), hi, lo);
    _mm512_store_si512(row, hi);
    _mm512_store_si512(row + 16, lo);
  }
}

/// tiles 0 to 3 += the weights of a group, as exponentiate_kept leaves them, times right tiles.
STOFM_INLINE_AMX void multiply_weights(const float* group, const std::uint8_t* right,
                                       std::int64_t right_step) {
  const auto* left = reinterpret_cast<const std::uint8_t*>(group);
  STOFM_TILE_LOAD(4, left, 128);
  STOFM_TILE_LOAD(5, left + 2048, 128);
  multiply_parts(right + tile_bytes, right_step, right + split_bytes + tile_bytes);
  multiply_parts(right, right_step, right + split_bytes);
  STOFM_TILE_LOAD(4, left + 64, 128);
  STOFM_TILE_LOAD(5, left + 2048 + 64, 128);
  STOFM_TILE_DOT(0, 4, 6);
  STOFM_TILE_DOT(1, 4, 7);
  STOFM_TILE_DOT(2, 5, 6);
  STOFM_TILE_DOT(3, 5, 7);
}

/// One block of rows. values: packed by pack_split_values. y: the first of its rows, this head; log_sums
/// likewise.
STOFM_TARGET_AMX inline void pair_forward_rows(const PairHead& from, std::int64_t block,
                                               const std::uint8_t* values, const PairDropout& dropout,
                                               float* y, std::int64_t y_stride, float* log_sums) {
  const std::int64_t keys = from.nodes, rows = (std::min)(block_rows, keys - block * 32),
                     padded_width = from.k_groups * 32, value_step = from.groups * split_bytes,
                     kept_groups = (std::min)(from.groups, block_groups);
  float* logits = scratch<float, 3>(kept_groups * group_floats + block_rows * padded_width + group_floats);
  float* product = logits + kept_groups * group_floats;
  float* out = product + group_floats;
  const SparseRuns& runs = from.state.pattern->runs;
  const auto here = runs.of_block(block);
  const SparseRun *run = here.data(), *runs_end = run + here.size();
  const SparseAdditions additions{here, runs.positions.data(), from.slots()};
  RowState state;
  const TileScope tiles;
  for (std::int64_t start = 0; start < from.groups; start += block_groups) {
    const std::int64_t count = (std::min)(block_groups, from.groups - start);
    const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (auto& lanes : state.lane_maximum) _mm512_store_ps(lanes, lowest);
    for (auto& lanes : state.lane_sum) _mm512_store_ps(lanes, _mm512_setzero_ps());
    for (std::int64_t g = 0; g <= count; ++g) {
      if (g < count) pair_logits(from, block, start + g, logits + g * group_floats);
      if (g == 0) continue;  // one group behind, while the tiles work on the next
      const std::int64_t done = start + g - 1;
      const SparseRun* listed = run != runs_end && run->group == done ? run++ : nullptr;
      finish_logits(logits + (g - 1) * group_floats, keys - done * 32, block_rows, listed, additions, state);
    }
    update_maxima(block_rows, start == 0, state);
    for (std::int64_t g = 0; g < count; ++g) {
      std::uint32_t kept[32];
      keep_block(kept, dropout, from, block, start + g);
      exponentiate_kept(logits + g * group_floats, kept, state);
    }
    for (std::int64_t column = 0; column < padded_width; column += 32) {
      zero_sums();
      const std::uint8_t* right = values + column / 16 * value_step + start * split_bytes;
      for (std::int64_t g = 0; g < count; ++g)
        multiply_weights(logits + g * group_floats, right + g * split_bytes, value_step);
      store_sums(product, 128);
      for (std::int64_t r = 0; r < rows; ++r) {
        float* to = out + r * padded_width + column;
        for (std::int64_t lane = 0; lane < 32; lane += 16) {
          __m512 sum = _mm512_load_ps(product + r * 32 + lane);
          if (start != 0)
            sum = _mm512_fmadd_ps(_mm512_load_ps(to + lane), _mm512_set1_ps(state.factor[r]), sum);
          _mm512_store_ps(to + lane, sum);
        }
      }
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const float sum = _mm512_reduce_add_ps(_mm512_load_ps(state.lane_sum[r]));
      state.sum[r] = start == 0 ? sum : state.sum[r] * state.factor[r] + sum;
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const __m512 inverse = _mm512_set1_ps(static_cast<float>(dropout.factor) / state.sum[r]);
    for (std::int64_t column = 0; column < from.width; column += 16)
      _mm512_mask_storeu_ps(y + r * y_stride + column, avx512::first_lanes(from.width - column),
                            _mm512_mul_ps(_mm512_load_ps(out + r * padded_width + column), inverse));
    log_sums[r] = state.maximum[r] + std::log(state.sum[r]);
  }
}

inline void pair_training_forward(const PairTrainingState<float>& state, TensorView<const float> v,
                                  const PairDropout& dropout, float* y, float* log_sums) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width,
                     blocks = state.pattern->blocks(),
                     value_bytes = groups_of(width) * 2 * groups_of(n) * split_bytes;
  std::uint8_t* values = scratch_bytes<5>(checked_mul(state.heads, value_bytes));
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t h = begin; h < end; ++h)
      pack_split_values(values + h * value_bytes, v.data + h * width, v.stride(0), n, width);
  });
  parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t head = t / blocks, block = t % blocks;
      pair_forward_rows(PairHead(state, head), block, values + head * value_bytes, dropout,
                        y + block * 32 * stride + head * width, stride, log_sums + head * n + block * 32);
    }
  });
}

/// P at the listed pairs, [pairs, heads].
inline void pair_training_values(const PairTrainingState<float>& state, const PairList& list,
                                 const float* background, float* values) {
  const SparseRuns& runs = state.pattern->runs;
  const std::int64_t blocks = state.pattern->blocks();
  parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) STOFM_TARGET_AMX {
    alignas(64) float logits[1024];
    const TileScope tiles;
    for (std::int64_t t = begin; t < end; ++t) {
      const PairHead from(state, t / blocks);
      const std::int64_t block = t % blocks;
      const auto listed = runs.of_block(block);
      const SparseRun *run = listed.data(), *runs_end = run + listed.size();
      for (std::int64_t g = 0; g < from.groups; ++g) {
        const SparseRun* here = run != runs_end && run->group == g ? run++ : nullptr;
        const auto at = static_cast<std::size_t>(block * blocks + g);
        if (list.offsets[at] == list.offsets[at + 1]) continue;
        pair_logits(from, block, g, logits);
        add_run(logits, here, runs.positions.data(), from.slots());
        for (auto p = static_cast<std::size_t>(list.offsets[at]);
             p < static_cast<std::size_t>(list.offsets[at + 1]); ++p)
          values[list.order[p] * state.heads + from.head] = logits[list.positions[p]] + background[from.head];
      }
    }
  });
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
