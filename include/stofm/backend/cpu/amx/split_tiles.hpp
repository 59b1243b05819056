// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// AMX tiles for float products where half of float32's digits are enough (gradients): operands split in two
/// bfloat16 (hi, mid), three products: hi hi, hi mid, mid hi. Error of a product: about 2^-16 of it. The
/// order of summed elements is that of amx/tiles.hpp; a group of 32 is [hi 1 KB][mid 1 KB].

#include "stofm/backend/cpu/amx/tiles.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// Bytes of a group in two parts.
inline constexpr std::int64_t split_bytes = 2048;

/// The four sums in tiles 0 to 3 (2 x 2) += left (row tiles 0, 1) times right (column tiles 0, 1) for one
/// group. `next`: a later right operand, brought towards L1 meanwhile.
STOFM_INLINE_AMX void multiply_split(const std::uint8_t* left, std::int64_t left_step,
                                     const std::uint8_t* right, std::int64_t right_step,
                                     const std::uint8_t* next = nullptr) {
  STOFM_TILE_LOAD(4, left, 64);
  STOFM_TILE_LOAD(5, left + left_step, 64);
  multiply_parts(right + tile_bytes, right_step, next == nullptr ? nullptr : next + tile_bytes);
  multiply_parts(right, right_step, next);
  STOFM_TILE_LOAD(4, left + tile_bytes, 64);
  STOFM_TILE_LOAD(5, left + left_step + tile_bytes, 64);
  STOFM_TILE_DOT(0, 4, 6);
  STOFM_TILE_DOT(1, 4, 7);
  STOFM_TILE_DOT(2, 5, 6);
  STOFM_TILE_DOT(3, 5, 7);
}

/// The 32 x 32 sums from memory, 128 bytes between rows.
STOFM_INLINE_AMX void load_sums(const float* from) {
  const auto* base = reinterpret_cast<const std::uint8_t*>(from);
  STOFM_TILE_LOAD(0, base, 128);
  STOFM_TILE_LOAD(1, base + 64, 128);
  STOFM_TILE_LOAD(2, base + 16 * 128, 128);
  STOFM_TILE_LOAD(3, base + 16 * 128 + 64, 128);
}

/// Floats from outside, NaNs made canonical, in two parts.
STOFM_INLINE_AMX void split_outside(__m512 a, __m512 b, __m512i& hi, __m512i& mid) {
  avx512::split_pairs(avx512::canonical_nan(a), avx512::canonical_nan(b), hi, mid);
}

/// Pairs along a row, tile row by tile row: `rows` <= 16 rows of `k` floats. out: [groups of k][2 KB].
/// `Transposed`: the right operand whose columns are these rows (keys); else the left operand.
template <bool Transposed>
STOFM_TARGET_AMX void pack_split_rows(std::uint8_t* out, const float* x, std::int64_t stride,
                                      std::int64_t rows, std::int64_t k) {
  for (std::int64_t g = 0; g * 32 < k; ++g) {
    const __mmask16 first = avx512::first_lanes(k - g * 32), second = avx512::first_lanes(k - g * 32 - 16);
    __m512i hi[16], mid[16];
    for (int r = 0; r < 16; ++r) {
      hi[r] = mid[r] = _mm512_setzero_si512();
      if (r >= rows) continue;
      const float* row = x + r * stride + g * 32;
      split_outside(_mm512_maskz_loadu_ps(first, row), _mm512_maskz_loadu_ps(second, row + 16), hi[r],
                    mid[r]);
    }
    if constexpr (Transposed) {
      avx512::transpose_16x16(hi);
      avx512::transpose_16x16(mid);
    }
    for (int r = 0; r < 16; ++r) {
      _mm512_store_si512(out + g * split_bytes + r * 64, hi[r]);
      _mm512_store_si512(out + g * split_bytes + tile_bytes + r * 64, mid[r]);
    }
  }
}

/// Pairs along a column: `k` <= 32 rows of `columns` <= 16 floats, one group. out: 2 KB. `Transposed`: the
/// left operand whose rows are these columns (the transposed matrix); else the right operand.
template <bool Transposed>
STOFM_TARGET_AMX void pack_split_columns(std::uint8_t* out, const float* x, std::int64_t stride,
                                         std::int64_t k, std::int64_t columns) {
  const __mmask16 lanes = avx512::first_lanes(columns);
  __m512i hi[16], mid[16];
  for (int r = 0; r < 16; ++r)
    split_outside(r < k ? _mm512_maskz_loadu_ps(lanes, x + r * stride) : _mm512_setzero_ps(),
                  r + 16 < k ? _mm512_maskz_loadu_ps(lanes, x + (r + 16) * stride) : _mm512_setzero_ps(),
                  hi[r], mid[r]);
  if constexpr (Transposed) {
    avx512::transpose_16x16(hi);
    avx512::transpose_16x16(mid);
  }
  for (int r = 0; r < 16; ++r) {
    _mm512_store_si512(out + r * 64, hi[r]);
    _mm512_store_si512(out + tile_bytes + r * 64, mid[r]);
  }
}

/// [even number of tiles of 16 rows][groups of k][2 KB]: left operand, or right operand of the transposed
/// matrix.
template <bool Transposed>
inline void pack_split_tiles(std::uint8_t* out, const float* x, std::int64_t stride, std::int64_t rows,
                             std::int64_t k) {
  for (std::int64_t t = 0; t < (rows + 31) / 32 * 2; ++t)
    pack_split_rows<Transposed>(out + t * groups_of(k) * split_bytes, t * 16 < rows ? x + t * 16 * stride : x,
                                stride, std::clamp<std::int64_t>(rows - t * 16, 0, 16), k);
}

/// [even number of tiles of 16 columns][groups of rows][2 KB]: right operand, summed over rows.
inline void pack_split_values(std::uint8_t* out, const float* x, std::int64_t stride, std::int64_t rows,
                              std::int64_t columns) {
  for (std::int64_t t = 0; t < (columns + 31) / 32 * 2; ++t)
    for (std::int64_t g = 0; g < groups_of(rows); ++g)
      pack_split_columns<false>(out + (t * groups_of(rows) + g) * split_bytes,
                                x + g * 32 * stride + (t * 16 < columns ? t * 16 : 0), stride, rows - g * 32,
                                std::clamp<std::int64_t>(columns - t * 16, 0, 16));
}

/// [even number of tiles of 16 columns][2 KB]: left operand of the transposed rows, summed over `rows` <= 32
/// rows.
inline void pack_split_transposed(std::uint8_t* out, const float* x, std::int64_t stride, std::int64_t rows,
                                  std::int64_t columns) {
  for (std::int64_t t = 0; t < (columns + 31) / 32 * 2; ++t)
    pack_split_columns<true>(out + t * split_bytes, x + (t * 16 < columns ? t * 16 : 0), stride, rows,
                             std::clamp<std::int64_t>(columns - t * 16, 0, 16));
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
