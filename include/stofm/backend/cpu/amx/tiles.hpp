// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// AMX tiles for float products: operands split in two bfloat16 (hi, lo) and packed so that a tile is 1 KB of
/// memory.
///
/// Order of a group of 32 along the summed dimension: position 2 r holds element r, position 2 r + 1 element
/// 16 + r. Both operands use it, so sums are complete; it lets two vectors of 16 floats become one of 32
/// halves without shuffles. A packed tile pair is [hi 1 KB][lo 1 KB]:
///   left operand:  16 rows x 32 summed elements,  right operand: 16 pairs of summed elements x 16 columns.
/// An operand is [tiles of 16 rows (columns)][groups of 32][2 KB]. Instructions are written as assembler,
/// since the intrinsics of g++ 12 do not tell the compiler that a tile load reads memory.

#include "stofm/backend/cpu/avx512/vector_math.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// Bytes of one packed tile pair.
inline constexpr std::int64_t tile_bytes = 1024, pair_bytes = 2048;

/// Eight tiles of 16 rows of 64 bytes for this thread, released with the object.
class TileScope {
 public:
  STOFM_TARGET_AMX TileScope() {
    alignas(64) std::uint8_t config[64] = {1};
    for (int tile = 0; tile < 8; ++tile) {
      config[16 + 2 * tile] = 64;
      config[48 + tile] = 16;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
  STOFM_TARGET_AMX ~TileScope() { __asm__ volatile("tilerelease" ::: "memory"); }
};

#define STOFM_TILE_LOAD(tile, base, stride)                                                               \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(base), "r"(static_cast<std::int64_t>(stride)) \
                   : "memory")
#define STOFM_TILE_STORE(tile, base, stride)                           \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(base), \
                   "r"(static_cast<std::int64_t>(stride))              \
                   : "memory")
#define STOFM_TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
#define STOFM_TILE_DOT(sum, left, right) \
  __asm__ volatile("tdpbf16ps %%tmm" #right ", %%tmm" #left ", %%tmm" #sum ::)

/// Brings one tile towards L1; the address may be past the end of the operand.
STOFM_INLINE_AMX void fetch_tile(const std::uint8_t* tile) {
#pragma GCC unroll 16
  for (int line = 0; line < 16; ++line) __builtin_prefetch(tile + line * 64, 0, 3);
}

/// The four sums in tiles 0 to 3 (2 x 2) += left (rows tiles 0, 1) times right (column tiles 0, 1) for one
/// group of 32 summed elements. `*_step`: distance to the second tile; `*_lo`: distance from hi to lo;
/// `left_stride`: bytes between rows of a left tile (64 when packed).
/// The right tiles of a later step, `ahead` bytes on, are fetched into L1 meanwhile: the hardware does not
/// see them coming.
template <MatmulGrade Grade>
STOFM_INLINE_AMX void multiply_group(const std::uint8_t* left, std::int64_t left_step, std::int64_t left_lo,
                                     std::int64_t left_stride, const std::uint8_t* right,
                                     std::int64_t right_step, std::int64_t ahead) {
  const std::uint8_t* next = right + ahead;
  STOFM_TILE_LOAD(4, left, left_stride);
  STOFM_TILE_LOAD(6, right, 64);
  STOFM_TILE_LOAD(7, right + right_step, 64);
  STOFM_TILE_LOAD(5, left + left_step, left_stride);
  STOFM_TILE_DOT(0, 4, 6);
  fetch_tile(next);
  STOFM_TILE_DOT(1, 4, 7);
  STOFM_TILE_DOT(2, 5, 6);
  fetch_tile(next + right_step);
  STOFM_TILE_DOT(3, 5, 7);
  if constexpr (Grade == MatmulGrade::float32) {
    STOFM_TILE_LOAD(6, right + tile_bytes, 64);
    STOFM_TILE_LOAD(7, right + right_step + tile_bytes, 64);
    STOFM_TILE_DOT(0, 4, 6);
    fetch_tile(next + tile_bytes);
    STOFM_TILE_DOT(1, 4, 7);
    STOFM_TILE_DOT(2, 5, 6);
    fetch_tile(next + right_step + tile_bytes);
    STOFM_TILE_DOT(3, 5, 7);
    STOFM_TILE_LOAD(4, left + left_lo, left_stride);
    STOFM_TILE_LOAD(6, right, 64);
    STOFM_TILE_LOAD(7, right + right_step, 64);
    STOFM_TILE_LOAD(5, left + left_step + left_lo, left_stride);
    STOFM_TILE_DOT(0, 4, 6);
    STOFM_TILE_DOT(1, 4, 7);
    STOFM_TILE_DOT(2, 5, 6);
    STOFM_TILE_DOT(3, 5, 7);
  }
}

STOFM_INLINE_AMX void zero_sums() {
  STOFM_TILE_ZERO(0);
  STOFM_TILE_ZERO(1);
  STOFM_TILE_ZERO(2);
  STOFM_TILE_ZERO(3);
}

/// The 32 x 32 sums, `stride` bytes between rows.
STOFM_INLINE_AMX void store_sums(float* out, std::int64_t stride) {
  auto* base = reinterpret_cast<std::uint8_t*>(out);
  STOFM_TILE_STORE(0, base, stride);
  STOFM_TILE_STORE(1, base + 64, stride);
  STOFM_TILE_STORE(2, base + 16 * stride, stride);
  STOFM_TILE_STORE(3, base + 16 * stride + 64, stride);
}

/// Number of groups of 32, of tiles of 16.
inline std::int64_t groups_of(std::int64_t k) { return (k + 31) / 32; }

/// Floats from outside, NaNs made canonical, split.
STOFM_INLINE_AMX void split_any(__m512 a, __m512 b, __m512i& hi, __m512i& lo) {
  avx512::split_pairs(avx512::canonical_nan(a), avx512::canonical_nan(b), hi, lo);
}

/// Left operand: `rows` <= 16 rows of `k` floats, `stride` apart, times `factor`; missing rows and columns
/// are zeros.
STOFM_TARGET_AMX inline void pack_left_tile(std::uint8_t* out, const float* x, std::int64_t stride,
                                            std::int64_t rows, std::int64_t k, float factor) {
  const __m512 f = _mm512_set1_ps(factor);
  for (std::int64_t g = 0; g * 32 < k; ++g) {
    const __mmask16 first = avx512::first_lanes(k - g * 32), second = avx512::first_lanes(k - g * 32 - 16);
    std::uint8_t* tile = out + g * pair_bytes;
    for (std::int64_t r = 0; r < 16; ++r) {
      __m512i hi = _mm512_setzero_si512(), lo = hi;
      if (r < rows) {
        const float* row = x + r * stride + g * 32;
        split_any(_mm512_mul_ps(_mm512_maskz_loadu_ps(first, row), f),
                  _mm512_mul_ps(_mm512_maskz_loadu_ps(second, row + 16), f), hi, lo);
      }
      _mm512_store_si512(tile + r * 64, hi);
      _mm512_store_si512(tile + tile_bytes + r * 64, lo);
    }
  }
}

/// Right operand from a matrix whose rows are the columns of the product (weights [N, K], keys): `rows` <= 16
/// rows of `k` floats, `stride` apart. The same as a left tile, transposed in 32-bit lanes.
STOFM_TARGET_AMX inline void pack_right_tile_transposed(std::uint8_t* out, const float* w,
                                                        std::int64_t stride, std::int64_t rows,
                                                        std::int64_t k) {
  for (std::int64_t g = 0; g * 32 < k; ++g) {
    const __mmask16 first = avx512::first_lanes(k - g * 32), second = avx512::first_lanes(k - g * 32 - 16);
    __m512i hi[16], lo[16];
    for (int r = 0; r < 16; ++r) {
      if (r < rows) {
        const float* row = w + r * stride + g * 32;
        split_any(_mm512_maskz_loadu_ps(first, row), _mm512_maskz_loadu_ps(second, row + 16), hi[r], lo[r]);
      } else {
        hi[r] = lo[r] = _mm512_setzero_si512();
      }
    }
    avx512::transpose_16x16(hi);
    avx512::transpose_16x16(lo);
    std::uint8_t* tile = out + g * pair_bytes;
    for (int r = 0; r < 16; ++r) {
      _mm512_store_si512(tile + r * 64, hi[r]);
      _mm512_store_si512(tile + tile_bytes + r * 64, lo[r]);
    }
  }
}

/// Right operand from a matrix whose rows run along the summed dimension (values): `k` rows, `columns` <= 16
/// of them from column 0 of `v`. Writes groups_of(k) tile pairs.
STOFM_TARGET_AMX inline void pack_right_tile(std::uint8_t* out, const float* v, std::int64_t stride,
                                             std::int64_t k, std::int64_t columns) {
  const __mmask16 lanes = avx512::first_lanes(columns);
  for (std::int64_t g = 0; g * 32 < k; ++g) {
    std::uint8_t* tile = out + g * pair_bytes;
    for (std::int64_t r = 0; r < 16; ++r) {
      const std::int64_t first = g * 32 + r, second = first + 16;
      __m512i hi, lo;
      split_any(first < k ? _mm512_maskz_loadu_ps(lanes, v + first * stride) : _mm512_setzero_ps(),
                second < k ? _mm512_maskz_loadu_ps(lanes, v + second * stride) : _mm512_setzero_ps(), hi, lo);
      _mm512_store_si512(tile + r * 64, hi);
      _mm512_store_si512(tile + tile_bytes + r * 64, lo);
    }
  }
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
