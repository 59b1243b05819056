// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention of one head on AMX tiles, 32 query rows at a time:
///   logits = sum over segments of left right^T (+ sparse additions), weights = exp(logits - row maximum),
///   y = weights v / row sum.
/// Keys come in blocks of at most 2048; between blocks the running maximum, sum and output are rescaled
/// ("online" softmax). The logits of a block, [groups of 32 keys][32 rows][32 floats], are 4 KB per group and
/// stay in L2; the weights replace them in place, split in two bfloat16 (error at most 2^-17 of a
/// weight, which is at most 1): per row [32 hi][32 mid], a left operand with rows 128 bytes apart. Dropped
/// weights are left out of the product, not of the sum. Limiters: tile multiplier for the logits, exp for the
/// rest.

#include <cmath>
#include <limits>
#include <span>

#include "stofm/backend/cpu/amx/split_tiles.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/backend/cpu/sparse_runs.hpp"
#include "stofm/backend/cpu/vector/attention.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

inline constexpr std::int64_t block_rows = 32, group_keys = 32, block_groups = 64, group_floats = 1024;

/// One product of the sum that makes the logits; operands packed as ThreeParts or TwoParts have them.
struct Segment {
  const std::uint8_t* left;   ///< the two row tiles of this block
  const std::uint8_t* right;  ///< all key tiles of this head, an even number
};

/// The state of 32 rows between blocks of keys.
struct RowState {
  alignas(64) float maximum[block_rows];
  alignas(64) float factor[block_rows];
  alignas(64) float sum[block_rows];
  alignas(64) float lane_maximum[block_rows][16];
  alignas(64) float lane_sum[block_rows][16];
};

/// Adds the listed entries to one group, hides keys past the end, and updates the maxima of the rows.
STOFM_TARGET_AMX inline void finish_logits(float* group, std::int64_t keys_left, std::int64_t rows,
                                           const SparseRun* run, const SparseAdditions& additions,
                                           RowState& state) {
  if (run != nullptr && run->whole()) {
    const float* whole = additions.values + run->begin;
    for (std::int64_t e = 0; e < rows * 32; e += 16)
      _mm512_store_ps(group + e, _mm512_add_ps(_mm512_load_ps(group + e), _mm512_loadu_ps(whole + e)));
  } else if (run != nullptr) {
    for (std::int64_t e = run->begin; e < run->end; ++e) group[additions.positions[e]] += additions.values[e];
  }
  const __m512 hidden = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  if (keys_left < group_keys) {
    const __mmask16 first = avx512::first_lanes(keys_left), second = avx512::first_lanes(keys_left - 16);
    for (std::int64_t r = 0; r < rows; ++r) {
      float* row = group + r * 32;
      _mm512_store_ps(row, _mm512_mask_mov_ps(hidden, first, _mm512_load_ps(row)));
      _mm512_store_ps(row + 16, _mm512_mask_mov_ps(hidden, second, _mm512_load_ps(row + 16)));
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = group + r * 32;
    const __m512 larger = _mm512_max_ps(_mm512_load_ps(row), _mm512_load_ps(row + 16));
    _mm512_store_ps(state.lane_maximum[r], _mm512_max_ps(_mm512_load_ps(state.lane_maximum[r]), larger));
  }
}

/// exp(logit - maximum) of one group, summed; those kept (row r in kept[r], column c in bit c; null: all) are
/// split in place.
STOFM_TARGET_AMX inline void exponentiate_group(float* group, std::int64_t rows, const std::uint32_t* kept,
                                                RowState& state) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = group + r * 32;
    const __m512 m = _mm512_set1_ps(state.maximum[r]);
    __m512 p0 = avx512::exponential(_mm512_sub_ps(_mm512_load_ps(row), m), softmax_floor);
    __m512 p1 = avx512::exponential(_mm512_sub_ps(_mm512_load_ps(row + 16), m), softmax_floor);
    _mm512_store_ps(state.lane_sum[r],
                    _mm512_add_ps(_mm512_load_ps(state.lane_sum[r]), _mm512_add_ps(p0, p1)));
    if (kept != nullptr) {
      p0 = _mm512_maskz_mov_ps(static_cast<__mmask16>(kept[r]), p0);
      p1 = _mm512_maskz_mov_ps(static_cast<__mmask16>(kept[r] >> 16), p1);
    }
    __m512i hi, lo;
    avx512::split_pairs(p0, p1, hi, lo);
    _mm512_store_si512(row, hi);
    _mm512_store_si512(row + 16, lo);
  }
}

/// New maxima and the factors exp(old - new) for what was summed before.
STOFM_TARGET_AMX inline void update_maxima(std::int64_t rows, bool first_block, RowState& state) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const float seen = _mm512_reduce_max_ps(_mm512_load_ps(state.lane_maximum[r]));
    float next = first_block || seen > state.maximum[r] ? seen : state.maximum[r];
    if (next == -std::numeric_limits<float>::infinity()) next = 0.0F;
    state.factor[r] = first_block ? 0.0F : state.maximum[r] - next;
    state.maximum[r] = next;
  }
  for (std::int64_t r = 0; !first_block && r < rows; r += 16) {
    const __mmask16 lanes = avx512::first_lanes(rows - r);
    _mm512_mask_store_ps(state.factor + r, lanes,
                         avx512::exponential(_mm512_maskz_load_ps(lanes, state.factor + r)));
  }
}

/// Two row tiles of `rows` <= 32 rows.
inline void pack_row_block(std::uint8_t* out, const float* x, std::int64_t stride, std::int64_t rows,
                           std::int64_t k, float factor) {
  pack_left_tile(out, x, stride, (std::min<std::int64_t>)(rows, 16), k, factor);
  const std::int64_t rest = (std::max<std::int64_t>)(rows - 16, 0);
  pack_left_tile(out + groups_of(k) * group_bytes, rest > 0 ? x + 16 * stride : x, stride, rest, k, factor);
}

/// Key tiles [begin, end) of a head; the caller rounds their number up to even, the missing rows are zeros.
inline void pack_key_tiles(std::uint8_t* out, const float* k, std::int64_t stride, std::int64_t keys,
                           std::int64_t width, std::int64_t begin, std::int64_t end) {
  for (std::int64_t t = begin; t < end; ++t)
    pack_right_tile_transposed(out + t * groups_of(width) * group_bytes,
                               k + (std::min)(t * 16, keys - 1) * stride, stride,
                               std::clamp<std::int64_t>(keys - t * 16, 0, 16), width);
}

/// Value tiles of a head: [even number of tiles of 16 columns][groups of keys].
inline void pack_values(std::uint8_t* out, const float* v, std::int64_t stride, std::int64_t keys,
                        std::int64_t width) {
  const std::int64_t tiles = (width + 31) / 32 * 2;
  for (std::int64_t t = 0; t < tiles; ++t)
    pack_right_tile(out + t * groups_of(keys) * group_bytes, v + (std::min)(t * 16, width - 1), stride, keys,
                    std::clamp<std::int64_t>(width - t * 16, 0, 16));
}

/// Operands in three parts (inference): float32 accuracy.
struct ThreeParts {
  static constexpr std::int64_t bytes = group_bytes;  // of a group of 32 in a tile

  static void pack_block(std::uint8_t* out, const float* x, std::int64_t stride, std::int64_t rows,
                         std::int64_t k) {
    pack_row_block(out, x, stride, rows, k, 1.0F);
  }
  static void pack_keys(std::uint8_t* out, const float* k, std::int64_t stride, std::int64_t keys,
                        std::int64_t width) {
    pack_key_tiles(out, k, stride, keys, width, 0, (keys + 31) / 32 * 2);
  }
  static void pack_values(std::uint8_t* out, const float* v, std::int64_t stride, std::int64_t keys,
                          std::int64_t width) {
    amx::pack_values(out, v, stride, keys, width);
  }
  /// Tiles 0 to 3 += one group of two row tiles times that of two key tiles, `step` bytes apart.
  static STOFM_INLINE_AMX void multiply(const std::uint8_t* left, const std::uint8_t* right,
                                        std::int64_t step) {
    multiply_group(left, step, tile_bytes, 64, right, step, 2 * step);
  }
  /// Tiles 0 to 3 += the weights of a group, as exponentiate_group leaves them, times two value tiles.
  static STOFM_INLINE_AMX void multiply_weights(const float* group, const std::uint8_t* right,
                                                std::int64_t step) {
    multiply_group<2>(reinterpret_cast<const std::uint8_t*>(group), 16 * 128, 64, 128, right, step, bytes);
  }
};

/// Operands in two parts, as the gradient has them (amx/split_tiles.hpp).
struct TwoParts {
  static constexpr std::int64_t bytes = split_bytes;

  static void pack_block(std::uint8_t* out, const float* x, std::int64_t stride, std::int64_t rows,
                         std::int64_t k) {
    pack_split_tiles<false>(out, x, stride, rows, k);
  }
  static void pack_keys(std::uint8_t* out, const float* k, std::int64_t stride, std::int64_t keys,
                        std::int64_t width) {
    pack_split_tiles<true>(out, k, stride, keys, width);
  }
  static void pack_values(std::uint8_t* out, const float* v, std::int64_t stride, std::int64_t keys,
                          std::int64_t width) {
    pack_split_values(out, v, stride, keys, width);
  }
  static STOFM_INLINE_AMX void multiply(const std::uint8_t* left, const std::uint8_t* right,
                                        std::int64_t step) {
    multiply_split(left, step, right, step, right + 2 * step);
  }
  static STOFM_INLINE_AMX void multiply_weights(const float* group, const std::uint8_t* right,
                                                std::int64_t step) {
    const auto* left = reinterpret_cast<const std::uint8_t*>(group);
    STOFM_TILE_LOAD(4, left, 128);
    STOFM_TILE_LOAD(5, left + 2048, 128);
    multiply_parts(right + tile_bytes, step, right + split_bytes + tile_bytes);
    multiply_parts(right, step, right + split_bytes);
    STOFM_TILE_LOAD(4, left + 64, 128);
    STOFM_TILE_LOAD(5, left + 2048 + 64, 128);
    STOFM_TILE_DOT(0, 4, 6);
    STOFM_TILE_DOT(1, 4, 7);
    STOFM_TILE_DOT(2, 5, 6);
    STOFM_TILE_DOT(3, 5, 7);
  }
};

/// What attend_rows does: `rows` <= 32 query rows of one head.
struct TileBlock {
  float* y;  ///< [rows, width]
  std::int64_t y_stride, rows, keys;
  std::span<const Segment> segments;
  const std::uint8_t* values;  ///< packed right operand: an even number of tiles of 16 columns
  std::int64_t width;
  SparseAdditions additions = {};  ///< of these rows and this head
  float kept = 1.0F;               ///< factor of weights that are not dropped
  float* log_sums = nullptr;       ///< [rows] log sum exp of the logits, or null
};

/// `keep(bits, group)`: which weights of 32 rows x 32 keys are kept, one word a row; KeepAll: all are.
template <class Parts, class Keep>
STOFM_TARGET_AMX void attend_rows(const TileBlock& at, const Keep& keep) {
  const std::int64_t rows = at.rows, key_groups = (at.keys + 31) / 32, groups = groups_of(at.width),
                     padded_width = groups * 32;
  float* logits = scratch<float, 3>((std::min)(key_groups, block_groups) * group_floats +
                                    block_rows * padded_width + group_floats);
  float* product = logits + (std::min)(key_groups, block_groups) * group_floats;
  float* out = product + group_floats;
  RowState state;
  const std::int64_t tile_step = groups * Parts::bytes, value_step = key_groups * Parts::bytes;
  const SparseRun* run = at.additions.runs.data();
  const SparseRun* runs_end = run + at.additions.runs.size();
  const TileScope tiles;
  for (std::int64_t start = 0; start < key_groups; start += block_groups) {
    const std::int64_t count = (std::min)(block_groups, key_groups - start);
    const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (auto& lanes : state.lane_maximum) _mm512_store_ps(lanes, lowest);
    for (auto& lanes : state.lane_sum) _mm512_store_ps(lanes, _mm512_setzero_ps());
    for (std::int64_t g = 0; g <= count; ++g) {
      if (g < count) {
        zero_sums();
        for (const Segment& segment : at.segments) {
          const std::uint8_t* right = segment.right + (start + g) * 2 * tile_step;
          for (std::int64_t k = 0; k < groups; ++k)
            Parts::multiply(segment.left + k * Parts::bytes, right + k * Parts::bytes, tile_step);
        }
        store_sums(logits + g * group_floats, 128);
      }
      if (g == 0) continue;  // one group behind, while the tiles work on the next
      const std::int64_t done = start + g - 1;
      const SparseRun* here = run != runs_end && run->group == done ? run++ : nullptr;
      finish_logits(logits + (g - 1) * group_floats, at.keys - done * 32, rows, here, at.additions, state);
    }
    update_maxima(rows, start == 0, state);
    for (std::int64_t g = 0; g < count; ++g) {
      if constexpr (std::is_same_v<Keep, KeepAll>) {
        exponentiate_group(logits + g * group_floats, rows, nullptr, state);
      } else {
        std::uint32_t kept[32];
        keep(kept, start + g);
        exponentiate_group(logits + g * group_floats, rows, kept, state);
      }
    }
    for (std::int64_t column = 0; column < padded_width; column += 32) {
      zero_sums();
      const std::uint8_t* right = at.values + column / 16 * value_step + start * Parts::bytes;
      for (std::int64_t g = 0; g < count; ++g)
        Parts::multiply_weights(logits + g * group_floats, right + g * Parts::bytes, value_step);
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
    const __m512 inverse = _mm512_set1_ps(state.sum[r] == 0.0F ? 0.0F : at.kept / state.sum[r]);
    for (std::int64_t column = 0; column < at.width; column += 16)
      _mm512_mask_storeu_ps(at.y + r * at.y_stride + column, avx512::first_lanes(at.width - column),
                            _mm512_mul_ps(_mm512_load_ps(out + r * padded_width + column), inverse));
    if (at.log_sums != nullptr) at.log_sums[r] = state.maximum[r] + std::log(state.sum[r]);
  }
}

/// Self-contained attention of `queries` rows of one head to `keys` rows (both at least 1): packs, then
/// attends.
inline void attend(float* y, std::int64_t y_stride, const float* q, std::int64_t q_stride,
                   std::int64_t queries, const float* k, std::int64_t k_stride, const float* v,
                   std::int64_t v_stride, std::int64_t keys, std::int64_t width, float scale) {
  const std::int64_t groups = groups_of(width), key_tiles = (keys + 31) / 32 * 2;
  const std::int64_t key_bytes = key_tiles * groups * group_bytes,
                     value_bytes = groups * 2 * groups_of(keys) * group_bytes;
  std::uint8_t* packed = scratch_bytes<4>(key_bytes + value_bytes + 2 * groups * group_bytes);
  std::uint8_t* values = packed + key_bytes;
  std::uint8_t* left = values + value_bytes;
  pack_key_tiles(packed, k, k_stride, keys, width, 0, key_tiles);
  pack_values(values, v, v_stride, keys, width);
  const Segment segment{left, packed};
  for (std::int64_t i = 0; i < queries; i += block_rows) {
    const std::int64_t rows = (std::min)(block_rows, queries - i);
    pack_row_block(left, q + i * q_stride, q_stride, rows, width, scale);
    const TileBlock at{y + i * y_stride, y_stride, rows, keys, {&segment, 1}, values, width};
    attend_rows<ThreeParts>(at, KeepAll());
  }
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
