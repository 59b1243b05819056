// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention with its gradient on AMX tiles. Formulas: ops/pair_attention_training.hpp. All products are
/// of floats split in two bfloat16 (amx/split_tiles.hpp), sums float32.
///
/// Forward, per head and 32 rows: as amx/attention.hpp, with the dropped weights left out of the product (not
/// of the sum) and log sum exp kept.
///
/// Backward, per head, panels of 64 rows (two blocks): for each group of 32 keys the logits S and dA = dy V^T
/// come out of the tiles into L1; vectors make A o M and G of them, split: with pairs along rows (right
/// operands of dV^T += dy^T (A o M) and dK_j^T += Q_j^T G, whose sums [head_dim, 32 keys] live in L2) and, of
/// G, with pairs along columns into a stripe of the panel (256 KB at 1050 nodes). After the last group dQ_j =
/// G K_j over the stripe. Limiters: tile multiplier and vector ports, about equal.

#include <cmath>
#include <cstring>

#include "stofm/backend/cpu/amx/attention.hpp"
#include "stofm/backend/cpu/amx/split_tiles.hpp"
#include "stofm/backend/cpu/avx512/dropout_mask.hpp"
#include "stofm/backend/cpu/pair_attention_training_state.hpp"
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
    const __m512 p0 = avx512::exp_ps(_mm512_sub_ps(_mm512_load_ps(row), m), avx512::softmax_floor);
    const __m512 p1 = avx512::exp_ps(_mm512_sub_ps(_mm512_load_ps(row + 16), m), avx512::softmax_floor);
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

/// The products of backward: a panel of two row blocks against the groups of keys, one by one.
class PairBackwardHead {
 public:
  static constexpr std::int64_t panel = 2, block_bytes = 2 * split_bytes;

  PairBackwardHead(const PairHead& from, const PairGradients<float>& into, bool has_values)
      : from_(from),
        into_(into),
        layers_(static_cast<std::int64_t>(from.state.layers.size())),
        has_values_(has_values) {
    const std::int64_t sums = (layers_ + (has_values ? 1 : 0)) * from.k_groups * from.groups * 4096;
    const std::int64_t stripe = panel * from.groups * block_bytes, keys = layers_ * key_bytes(),
                       left = (layers_ + 1) * panel * from.block_step;
    std::uint8_t* memory = scratch_bytes<6>(sums + stripe + keys + left + 4 * panel * block_bytes);
    sums_ = reinterpret_cast<float*>(memory);
    std::memset(memory, 0, static_cast<std::size_t>(sums));
    stripe_ = memory + sums;
    keys_ = stripe_ + stripe;
    left_ = keys_ + keys;
    weights_ = left_ + left;
    gradients_ = weights_ + panel * block_bytes;
    for (std::int64_t l = 0; l < layers_; ++l)
      if (into.q[static_cast<std::size_t>(l)] != nullptr)
        pack_split_values(keys_ + l * key_bytes(), rows_of(layer(l).k.data()), stride(), from.nodes,
                          from.width);
  }

  /// Row-pair operands of the two blocks of the panel: A o M, and G.
  std::uint8_t* weights(std::int64_t of_panel) const { return weights_ + of_panel * block_bytes; }
  std::uint8_t* gradients(std::int64_t of_panel) const { return gradients_ + of_panel * block_bytes; }
  /// Column-pair operand of G for a group.
  std::uint8_t* stripe(std::int64_t of_panel, std::int64_t group) const {
    return stripe_ + (of_panel * from_.groups + group) * block_bytes;
  }

  /// Takes the rows of a panel: queries, and grad_y if there are values.
  void begin_panel(std::int64_t first, std::int64_t count, const float* grad_y) {
    first_ = first;
    count_ = count;
    for (std::int64_t b = 0; b < count; ++b) {
      const std::int64_t row = (first + b) * 32, rows = (std::min<std::int64_t>)(from_.nodes - row, 32);
      for (std::int64_t l = 0; l < layers_; ++l)
        pack_split_transposed(left(l, b), rows_of(layer(l).q.data()) + row * stride(), stride(), rows,
                              from_.width);
      if (grad_y != nullptr)
        pack_split_transposed(left(layers_, b), rows_of(grad_y) + row * stride(), stride(), rows,
                              from_.width);
    }
  }

  /// dK_j^T += Q_j^T G, dV^T += dy^T (A o M) for one group of keys.
  STOFM_TARGET_AMX void add_group(std::int64_t group) const {
    if (has_values_) add_sums(layers_, group, weights_);
    for (std::int64_t l = 0; l < layers_; ++l)
      if (into_.k[static_cast<std::size_t>(l)] != nullptr) add_sums(l, group, gradients_);
  }

  /// dQ_j of the rows of the panel.
  STOFM_TARGET_AMX void end_panel() const {
    alignas(64) float product[1024];
    const std::int64_t value_step = from_.groups * split_bytes;
    for (std::int64_t l = 0; l < layers_; ++l) {
      float* to = into_.q[static_cast<std::size_t>(l)];
      if (to == nullptr) continue;
      const __m512 scale = _mm512_set1_ps(layer(l).scale);
      for (std::int64_t c = 0; c < from_.k_groups; ++c)
        for (std::int64_t b = 0; b < count_; ++b) {
          const std::uint8_t* right = keys_ + l * key_bytes() + c * 2 * value_step;
          zero_sums();
          for (std::int64_t g = 0; g < from_.groups; ++g)
            multiply_split(stripe(b, g), split_bytes, right + g * split_bytes, value_step,
                           right + (g + 1) * split_bytes);
          store_sums(product, 128);
          const std::int64_t row = (first_ + b) * 32;
          for (std::int64_t r = 0; r < (std::min<std::int64_t>)(from_.nodes - row, 32); ++r)
            for (std::int64_t lane = 0; lane < 32; lane += 16) {
              const __mmask16 lanes = avx512::first_lanes(from_.width - c * 32 - lane);
              float* at = to + (row + r) * stride() + from_.head * from_.width + c * 32 + lane;
              if (lanes != 0)
                _mm512_mask_storeu_ps(at, lanes,
                                      _mm512_fmadd_ps(_mm512_load_ps(product + r * 32 + lane), scale,
                                                      _mm512_maskz_loadu_ps(lanes, at)));
            }
        }
    }
  }

  /// Adds the sums over all panels to the gradients of keys and values.
  STOFM_TARGET_AMX void finish() const {
    for (std::int64_t l = 0; l < layers_; ++l) add_transposed(into_.k[static_cast<std::size_t>(l)], l);
    if (has_values_) add_transposed(into_.v, layers_);
  }

 private:
  std::int64_t key_bytes() const { return from_.k_groups * 2 * from_.groups * split_bytes; }
  std::int64_t stride() const { return from_.state.heads * from_.width; }
  const PairTrainingLayer<float>& layer(std::int64_t l) const {
    return *from_.state.layers[static_cast<std::size_t>(l)];
  }
  const float* rows_of(const float* matrix) const { return matrix + from_.head * from_.width; }
  std::uint8_t* left(std::int64_t operand, std::int64_t of_panel) const {
    return left_ + (operand * panel + of_panel) * from_.block_step;
  }
  float* sums(std::int64_t operand, std::int64_t c, std::int64_t group) const {
    return sums_ + ((operand * from_.k_groups + c) * from_.groups + group) * 1024;
  }
  STOFM_TARGET_AMX void add_sums(std::int64_t operand, std::int64_t group, const std::uint8_t* right) const {
    for (std::int64_t c = 0; c < from_.k_groups; ++c) {
      float* to = sums(operand, c, group);
      load_sums(to);
      for (std::int64_t b = 0; b < count_; ++b)
        multiply_split(left(operand, b) + c * 2 * split_bytes, split_bytes, right + b * block_bytes,
                       split_bytes);
      store_sums(to, 128);
    }
  }
  STOFM_TARGET_AMX void add_transposed(float* to, std::int64_t operand) const {
    if (to == nullptr) return;
    for (std::int64_t c = 0; c < from_.k_groups; ++c)
      for (std::int64_t g = 0; g < from_.groups; ++g)
        for (std::int64_t half = 0; half < 4; ++half) {
          const std::int64_t key = g * 32 + half / 2 * 16, column = c * 32 + half % 2 * 16;
          const float* from = sums(operand, c, g) + half % 2 * 16 * 32 + half / 2 * 16;
          __m512i block[16];
          for (int r = 0; r < 16; ++r) block[r] = _mm512_load_si512(from + r * 32);
          avx512::transpose_16x16(block);
          const __mmask16 lanes = avx512::first_lanes(from_.width - column);
          for (std::int64_t r = 0; r < (std::min<std::int64_t>)(from_.nodes - key, 16) && lanes != 0; ++r) {
            float* at = to + (key + r) * stride() + from_.head * from_.width + column;
            _mm512_mask_storeu_ps(
                at, lanes, _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, at), _mm512_castsi512_ps(block[r])));
          }
        }
  }

  const PairHead& from_;
  const PairGradients<float>& into_;
  std::int64_t layers_, first_ = 0, count_ = 0;
  bool has_values_;
  float* sums_ = nullptr;
  std::uint8_t *stripe_ = nullptr, *keys_ = nullptr, *left_ = nullptr, *weights_ = nullptr,
               *gradients_ = nullptr;
};

/// Per row of a block: what the softmax gradient needs beside the logits.
struct PairRowSums {
  alignas(64) float log_sum[32];
  alignas(64) float mean[32];  ///< sum_j A_ij dA_ij
};

/// Four vectors a (rows r, r + 16; columns 0 to 15, 16 to 31) in two bfloat16 parts, as pairs along rows at
/// `right` (tiles of 16 columns) and, if wanted, as pairs along columns at `left` (tiles of 16 rows).
STOFM_INLINE_AMX void split_block_rows(const __m512 (&a)[4], std::uint8_t* right, std::uint8_t* left) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000U)), half = _mm512_set1_epi32(0x8000);
  constexpr int select = 0xe4;  // third operand ? first : second, bit by bit
  __m512i hi[4], mid[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    hi[i] = _mm512_and_epi32(_mm512_add_epi32(_mm512_castps_si512(a[i]), half), upper);
    mid[i] = _mm512_add_epi32(_mm512_castps_si512(_mm512_sub_ps(a[i], _mm512_castsi512_ps(hi[i]))), half);
  }
  const __m512i low0 = _mm512_srli_epi32(hi[0], 16), mid0 = _mm512_srli_epi32(mid[0], 16);
  const __m512i low1 = _mm512_srli_epi32(hi[1], 16), mid1 = _mm512_srli_epi32(mid[1], 16);
  _mm512_store_si512(right, _mm512_or_epi32(low0, hi[2]));
  _mm512_store_si512(right + tile_bytes, _mm512_ternarylogic_epi32(mid[2], mid0, upper, select));
  _mm512_store_si512(right + split_bytes, _mm512_or_epi32(low1, hi[3]));
  _mm512_store_si512(right + split_bytes + tile_bytes,
                     _mm512_ternarylogic_epi32(mid[3], mid1, upper, select));
  if (left == nullptr) return;
  const __m512i low2 = _mm512_srli_epi32(hi[2], 16), mid2 = _mm512_srli_epi32(mid[2], 16);
  _mm512_store_si512(left, _mm512_or_epi32(low0, hi[1]));
  _mm512_store_si512(left + tile_bytes, _mm512_ternarylogic_epi32(mid[1], mid0, upper, select));
  _mm512_store_si512(left + split_bytes, _mm512_or_epi32(low2, hi[3]));
  _mm512_store_si512(left + split_bytes + tile_bytes, _mm512_ternarylogic_epi32(mid[3], mid2, upper, select));
}

/// A o M and G of a block from its logits and dA; `logits` becomes G.
STOFM_TARGET_AMX inline void softmax_gradient_block(float* logits, const float* grad_weights,
                                                    const PairRowSums& sums, const std::uint32_t (&kept)[32],
                                                    std::uint32_t inside, float factor, std::uint8_t* weights,
                                                    std::uint8_t* gradients, std::uint8_t* stripe) {
  const __m512 f = _mm512_set1_ps(factor);
  for (int r = 0; r < 16; ++r) {
    __m512 a[4], g[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int row = r + i / 2 * 16, at = row * 32 + i % 2 * 16;
      const auto keep = static_cast<__mmask16>(kept[row] >> (i % 2 * 16));
      const auto real = static_cast<__mmask16>(inside >> (i % 2 * 16));
      const __m512 p = _mm512_maskz_mov_ps(
          real, avx512::exp_ps(_mm512_sub_ps(_mm512_load_ps(logits + at), _mm512_set1_ps(sums.log_sum[row])),
                               avx512::softmax_floor));
      a[i] = _mm512_maskz_mul_ps(keep, p, f);
      g[i] = _mm512_fmsub_ps(a[i], _mm512_load_ps(grad_weights + at),
                             _mm512_mul_ps(p, _mm512_set1_ps(sums.mean[row])));
      _mm512_store_ps(logits + at, g[i]);
    }
    split_block_rows(a, weights + r * 64, nullptr);
    split_block_rows(g, gradients + r * 64, stripe + r * 64);
  }
}

inline void pair_training_backward(const PairTrainingState<float>& state, TensorView<const float> v,
                                   const PairDropout& dropout, const float* y, const float* log_sums,
                                   const float* grad_y, const PairGradients<float>& into) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width;
  const SparseRuns& runs = state.pattern->runs;
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) STOFM_TARGET_AMX {
    for (std::int64_t head = begin; head < end; ++head) {
      const PairHead from(state, head);
      constexpr std::int64_t panel = PairBackwardHead::panel;
      PairBackwardHead products(from, into, into.v != nullptr);
      std::uint8_t* values = scratch_bytes<7>(pair_head_bytes(n, width) + panel * from.block_step);
      std::uint8_t* grads = values + pair_head_bytes(n, width);
      pack_split_tiles<true>(values, v.data + head * width, v.stride(0), n, width);
      float* slot_gradients = into.slots == nullptr ? nullptr : into.slots + head * state.pattern->slots();
      alignas(64) float logits[1024], grad_weights[1024];
      PairRowSums sums[panel];
      std::uint32_t kept[32];
      const TileScope tiles;
      for (std::int64_t first = 0; first < from.blocks; first += panel) {
        const std::int64_t count = (std::min)(panel, from.blocks - first);
        products.begin_panel(first, count, into.v != nullptr ? grad_y : nullptr);
        const SparseRun *run[panel], *runs_end[panel];
        for (std::int64_t b = 0; b < count; ++b) {
          const std::int64_t row = (first + b) * 32, rows = (std::min<std::int64_t>)(n - row, 32);
          const float *dy = grad_y + row * stride + head * width, *out = y + row * stride + head * width;
          pack_split_tiles<false>(grads + b * from.block_step, dy, stride, rows, width);
          for (std::int64_t r = 0; r < 32; ++r) {
            __m512 mean = _mm512_setzero_ps();
            for (std::int64_t c = 0; c < width && r < rows; c += 16) {
              const __mmask16 lanes = avx512::first_lanes(width - c);
              mean = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, dy + r * stride + c),
                                     _mm512_maskz_loadu_ps(lanes, out + r * stride + c), mean);
            }
            sums[b].mean[r] = _mm512_reduce_add_ps(mean);
            // Rows past the end weigh nothing: exp(-inf) = 0.
            sums[b].log_sum[r] =
                r < rows ? log_sums[head * n + row + r] : std::numeric_limits<float>::infinity();
          }
          const auto listed = runs.of_block(first + b);
          run[b] = listed.data();
          runs_end[b] = run[b] + listed.size();
        }
        for (std::int64_t g = 0; g < from.groups; ++g) {
          const std::int64_t left = n - g * 32;
          const std::uint32_t inside = left >= 32 ? ~0U : (1U << left) - 1U;
          for (std::int64_t b = 0; b < count; ++b) {
            pair_logits(from, first + b, g, logits);
            zero_sums();
            for (std::int64_t k = 0; k < from.k_groups; ++k)
              multiply_split(grads + b * from.block_step + k * split_bytes, from.tile_step,
                             values + g * from.block_step + k * split_bytes, from.tile_step);
            store_sums(grad_weights, 128);
            keep_block(kept, dropout, from, first + b, g);
            const SparseRun* here = run[b] != runs_end[b] && run[b]->group == g ? run[b]++ : nullptr;
            add_run(logits, here, runs.positions.data(), from.slots());
            softmax_gradient_block(logits, grad_weights, sums[b], kept, inside,
                                   static_cast<float>(dropout.factor), products.weights(b),
                                   products.gradients(b), products.stripe(b, g));
            if (slot_gradients != nullptr) take_run(logits, here, runs.positions.data(), slot_gradients);
          }
          products.add_group(g);
        }
        products.end_panel();
      }
      products.finish();
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

inline void pair_training_values_backward(const PairTrainingState<float>& state, const PairList& list,
                                          const float* grad_values, const PairGradients<float>& into) {
  const SparseRuns& runs = state.pattern->runs;
  const std::int64_t blocks = state.pattern->blocks();
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) STOFM_TARGET_AMX {
    for (std::int64_t head = begin; head < end; ++head) {
      const PairHead from(state, head);
      constexpr std::int64_t panel = PairBackwardHead::panel;
      PairBackwardHead products(from, into, false);
      float* slot_gradients = into.slots == nullptr ? nullptr : into.slots + head * state.pattern->slots();
      alignas(64) float block[1024];
      const TileScope tiles;
      for (std::int64_t first = 0; first < blocks; first += panel) {
        const std::int64_t count = (std::min)(panel, blocks - first);
        if (list.offsets[static_cast<std::size_t>(first * blocks)] ==
            list.offsets[static_cast<std::size_t>((first + count) * blocks)])
          continue;
        products.begin_panel(first, count, nullptr);
        const SparseRun *run[panel], *runs_end[panel];
        for (std::int64_t b = 0; b < count; ++b) {
          const auto listed = runs.of_block(first + b);
          run[b] = listed.data();
          runs_end[b] = run[b] + listed.size();
        }
        for (std::int64_t g = 0; g < blocks; ++g) {
          for (std::int64_t b = 0; b < count; ++b) {
            const auto at = static_cast<std::size_t>((first + b) * blocks + g);
            std::memset(block, 0, sizeof block);
            for (auto p = static_cast<std::size_t>(list.offsets[at]);
                 p < static_cast<std::size_t>(list.offsets[at + 1]); ++p)
              block[list.positions[p]] += grad_values[list.order[p] * state.heads + head];
            for (int r = 0; r < 16; ++r) {
              __m512 a[4];
              for (int i = 0; i < 4; ++i)
                a[i] = avx512::canonical_nan(_mm512_load_ps(block + (r + i / 2 * 16) * 32 + i % 2 * 16));
              split_block_rows(a, products.gradients(b) + r * 64, products.stripe(b, g) + r * 64);
            }
            const SparseRun* here = run[b] != runs_end[b] && run[b]->group == g ? run[b]++ : nullptr;
            if (slot_gradients != nullptr) take_run(block, here, runs.positions.data(), slot_gradients);
          }
          products.add_group(g);
        }
        products.end_panel();
      }
      products.finish();
    }
  });
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
