// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// AMX tiles for float products: operands split in three bfloat16 (hi, mid, lo; together all 24 bits of the
/// float) and packed so that a tile is 1 KB of memory. Six products of parts make one float product: hi hi,
/// hi mid, hi lo, mid hi, mid mid, lo hi; what is left out is below 2^-26 of it, less than float32 rounds.
///
/// Order of a group of 32 along the summed dimension: position 2 r holds element r, position 2 r + 1 element
/// 16 + r. Both operands use it, so sums are complete; it lets two vectors of 16 floats become one of 32
/// halves without shuffles. A packed group is [hi 1 KB][mid 1 KB][lo 1 KB]:
///   left operand:  16 rows x 32 summed elements,  right operand: 16 pairs of summed elements x 16 columns.
/// An operand is [tiles of 16 rows (columns)][groups of 32][3 KB]. Instructions are written as assembler,
/// since the intrinsics of g++ 12 do not tell the compiler that a tile load reads memory.

#include "stofm/backend/cpu/amx/bfloat16_parts.hpp"
#include "stofm/backend/cpu/vector/math.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// Bytes of one tile, and of the three tiles of a group.
inline constexpr std::int64_t tile_bytes = 1024, group_bytes = 3072;

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

/// One set of products: the four sums in tiles 0 to 3 (2 x 2) += tiles 4, 5 (rows) times the right tiles at
/// `right` (columns), loaded here. `next`: right tiles of a later step, fetched into L1 meanwhile, since the
/// hardware does not see them coming.
STOFM_INLINE_AMX void multiply_parts(const std::uint8_t* right, std::int64_t right_step,
                                     const std::uint8_t* next) {
  STOFM_TILE_LOAD(6, right, 64);
  STOFM_TILE_LOAD(7, right + right_step, 64);
  STOFM_TILE_DOT(0, 4, 6);
  if (next != nullptr) fetch_tile(next);
  STOFM_TILE_DOT(1, 4, 7);
  STOFM_TILE_DOT(2, 5, 6);
  if (next != nullptr) fetch_tile(next + right_step);
  STOFM_TILE_DOT(3, 5, 7);
}

/// The four sums in tiles 0 to 3 (2 x 2) += left (row tiles 0, 1) times right (column tiles 0, 1) for one
/// group of 32 summed elements. `*_step`: distance to the second tile; `left_part`: distance from one part of
/// the left operand to the next; `left_stride`: bytes between rows of a left tile (64 when packed); `ahead`:
/// distance to the right tiles of a later step. `LeftParts`: 3, or 2 where the left operand has no lo part.
template <int LeftParts = 3>
STOFM_INLINE_AMX void multiply_group(const std::uint8_t* left, std::int64_t left_step, std::int64_t left_part,
                                     std::int64_t left_stride, const std::uint8_t* right,
                                     std::int64_t right_step, std::int64_t ahead) {
  const std::uint8_t *mid = right + tile_bytes, *lo = right + 2 * tile_bytes, *next = right + ahead;
  STOFM_TILE_LOAD(4, left, left_stride);
  STOFM_TILE_LOAD(5, left + left_step, left_stride);
  multiply_parts(right, right_step, next);
  multiply_parts(mid, right_step, next + tile_bytes);
  multiply_parts(lo, right_step, next + 2 * tile_bytes);
  STOFM_TILE_LOAD(4, left + left_part, left_stride);
  STOFM_TILE_LOAD(5, left + left_step + left_part, left_stride);
  multiply_parts(right, right_step, nullptr);
  multiply_parts(mid, right_step, nullptr);
  if constexpr (LeftParts == 3) {
    STOFM_TILE_LOAD(4, left + 2 * left_part, left_stride);
    STOFM_TILE_LOAD(5, left + left_step + 2 * left_part, left_stride);
    multiply_parts(right, right_step, nullptr);
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
STOFM_INLINE_AMX void split_any(__m512 a, __m512 b, __m512i& hi, __m512i& mid, __m512i& lo) {
  avx512::split_triples(avx512::canonical_nan(a), avx512::canonical_nan(b), hi, mid, lo);
}

/// Left operand: `rows` <= 16 rows of `k` floats, `stride` apart, times `factor`; missing rows and columns
/// are zeros.
STOFM_TARGET_AMX inline void pack_left_tile(std::uint8_t* out, const float* x, std::int64_t stride,
                                            std::int64_t rows, std::int64_t k, float factor) {
  const __m512 f = _mm512_set1_ps(factor);
  for (std::int64_t g = 0; g * 32 < k; ++g) {
    const __mmask16 first = avx512::first_lanes(k - g * 32), second = avx512::first_lanes(k - g * 32 - 16);
    std::uint8_t* tile = out + g * group_bytes;
    for (std::int64_t r = 0; r < 16; ++r) {
      __m512i hi = _mm512_setzero_si512(), mid = hi, lo = hi;
      if (r < rows) {
        const float* row = x + r * stride + g * 32;
        split_any(_mm512_mul_ps(_mm512_maskz_loadu_ps(first, row), f),
                  _mm512_mul_ps(_mm512_maskz_loadu_ps(second, row + 16), f), hi, mid, lo);
      }
      _mm512_store_si512(tile + r * 64, hi);
      _mm512_store_si512(tile + tile_bytes + r * 64, mid);
      _mm512_store_si512(tile + 2 * tile_bytes + r * 64, lo);
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
    __m512i hi[16], mid[16], lo[16];
    for (int r = 0; r < 16; ++r) {
      if (r < rows) {
        const float* row = w + r * stride + g * 32;
        split_any(_mm512_maskz_loadu_ps(first, row), _mm512_maskz_loadu_ps(second, row + 16), hi[r], mid[r],
                  lo[r]);
      } else {
        hi[r] = mid[r] = lo[r] = _mm512_setzero_si512();
      }
    }
    avx512::transpose_16x16(hi);
    avx512::transpose_16x16(mid);
    avx512::transpose_16x16(lo);
    std::uint8_t* tile = out + g * group_bytes;
    for (int r = 0; r < 16; ++r) {
      _mm512_store_si512(tile + r * 64, hi[r]);
      _mm512_store_si512(tile + tile_bytes + r * 64, mid[r]);
      _mm512_store_si512(tile + 2 * tile_bytes + r * 64, lo[r]);
    }
  }
}

/// Right operand from a matrix whose rows run along the summed dimension (values): `k` rows, `columns` <= 16
/// of them from column 0 of `v`. Writes groups_of(k) groups.
STOFM_TARGET_AMX inline void pack_right_tile(std::uint8_t* out, const float* v, std::int64_t stride,
                                             std::int64_t k, std::int64_t columns) {
  const __mmask16 lanes = avx512::first_lanes(columns);
  for (std::int64_t g = 0; g * 32 < k; ++g) {
    std::uint8_t* tile = out + g * group_bytes;
    for (std::int64_t r = 0; r < 16; ++r) {
      const std::int64_t first = g * 32 + r, second = first + 16;
      __m512i hi, mid, lo;
      split_any(first < k ? _mm512_maskz_loadu_ps(lanes, v + first * stride) : _mm512_setzero_ps(),
                second < k ? _mm512_maskz_loadu_ps(lanes, v + second * stride) : _mm512_setzero_ps(), hi, mid,
                lo);
      _mm512_store_si512(tile + r * 64, hi);
      _mm512_store_si512(tile + tile_bytes + r * 64, mid);
      _mm512_store_si512(tile + 2 * tile_bytes + r * 64, lo);
    }
  }
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
