// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The vector layer on AVX2 and FMA: a Vector is two registers of 8 floats. What each function means is said
/// in README.md of this folder.
///
/// Tails: a load or store of the first lanes asks whether these are all of them (loops know it before the
/// jump) and takes the plain instruction then: masked stores are slow on some machines.

#include <cstdint>
#include <cstring>

#include "stofm/core/cpu_features.hpp"

#if defined(STOFM_X86_KERNELS)
#include <immintrin.h>

#define STOFM_INLINE_AVX2 inline __attribute__((always_inline)) STOFM_TARGET_AVX2

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx2 {

struct Vector {  // 16 floats
  __m256 low, high;
};
struct Words {  // 16 unsigned words
  __m256i low, high;
};
struct Doubles {  // 8 doubles
  __m256d low, high;
};
struct Mask {  // all bits of a lane, or none
  __m256 low, high;
};
struct Lanes {  // the first so many lanes, between 0 and 16
  std::int64_t count;
};

// Tiles of products: 12 of 16 registers hold sums.
inline constexpr std::int64_t row_tile = 6, panel_vectors = 1, task_rows = 48, attention_rows = 24;
inline constexpr std::int64_t strided_rows = 6, strided_vectors = 1;

/// 16 words of ones, 16 of zeros: lanes [0, n) begin at 16 - n.
alignas(64) inline constexpr std::int32_t lane_words[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                                            -1, -1, -1, -1, -1, 0,  0,  0,  0,  0,  0,
                                                            0,  0,  0,  0,  0,  0,  0,  0,  0,  0};

STOFM_INLINE_AVX2 Lanes first_lanes(std::int64_t count) {
  return {count >= 16 ? 16 : count <= 0 ? 0 : count};
}
STOFM_INLINE_AVX2 Words lane_mask(Lanes lanes) {
  const auto* words = reinterpret_cast<const __m256i*>(lane_words + 16 - lanes.count);
  return {_mm256_loadu_si256(words), _mm256_loadu_si256(words + 1)};
}

STOFM_INLINE_AVX2 Vector zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
STOFM_INLINE_AVX2 Vector splat(float x) {
  const __m256 all = _mm256_set1_ps(x);
  return {all, all};
}
STOFM_INLINE_AVX2 Vector load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
STOFM_INLINE_AVX2 Vector load(Lanes lanes, const float* p) {
  if (lanes.count == 16) return load(p);
  const Words mask = lane_mask(lanes);
  if (lanes.count <= 8)
    return {_mm256_maskload_ps(p, mask.low), _mm256_setzero_ps()};  // p + 8 may be nowhere
  return {_mm256_maskload_ps(p, mask.low), _mm256_maskload_ps(p + 8, mask.high)};
}
STOFM_INLINE_AVX2 void store(float* p, Vector x) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}
STOFM_INLINE_AVX2 void store(float* p, Lanes lanes, Vector x) {
  if (lanes.count == 16) return store(p, x);
  const Words mask = lane_mask(lanes);
  _mm256_maskstore_ps(p, mask.low, x.low);
  if (lanes.count > 8) _mm256_maskstore_ps(p + 8, mask.high, x.high);
}

STOFM_INLINE_AVX2 Vector add(Vector a, Vector b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
STOFM_INLINE_AVX2 Vector sub(Vector a, Vector b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
STOFM_INLINE_AVX2 Vector mul(Vector a, Vector b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
STOFM_INLINE_AVX2 Vector div(Vector a, Vector b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
STOFM_INLINE_AVX2 Vector root(Vector a) { return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }
STOFM_INLINE_AVX2 Vector fma(Vector a, Vector b, Vector c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
STOFM_INLINE_AVX2 Vector fms(Vector a, Vector b, Vector c) {
  return {_mm256_fmsub_ps(a.low, b.low, c.low), _mm256_fmsub_ps(a.high, b.high, c.high)};
}
STOFM_INLINE_AVX2 Vector fnma(Vector a, Vector b, Vector c) {
  return {_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high)};
}
STOFM_INLINE_AVX2 Vector larger(Vector a, Vector b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
STOFM_INLINE_AVX2 Vector magnitude(Vector a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
STOFM_INLINE_AVX2 Vector nearest_integer(Vector a) {
  return {_mm256_round_ps(a.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline constexpr bool power_overflows_to_infinity = false;
STOFM_INLINE_AVX2 __m256 times_power_of_two(__m256 p, __m256 n) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
}
STOFM_INLINE_AVX2 Vector times_power_of_two(Vector p, Vector n) {
  return {times_power_of_two(p.low, n.low), times_power_of_two(p.high, n.high)};
}
STOFM_INLINE_AVX2 Vector floor_of(Vector a) { return {_mm256_floor_ps(a.low), _mm256_floor_ps(a.high)}; }
STOFM_INLINE_AVX2 Vector fraction(Vector a) { return sub(a, floor_of(a)); }
STOFM_INLINE_AVX2 Vector times_power_of_floor(Vector p, Vector a) {
  return times_power_of_two(p, floor_of(a));
}
STOFM_INLINE_AVX2 float sum_of(Vector a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
STOFM_INLINE_AVX2 float largest_of(Vector a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

template <int Predicate>
STOFM_INLINE_AVX2 Mask compare(Vector a, Vector b) {
  return {_mm256_cmp_ps(a.low, b.low, Predicate), _mm256_cmp_ps(a.high, b.high, Predicate)};
}
STOFM_INLINE_AVX2 Mask less(Vector a, Vector b) { return compare<_CMP_LT_OQ>(a, b); }
STOFM_INLINE_AVX2 Mask greater(Vector a, Vector b) { return compare<_CMP_GT_OQ>(a, b); }
STOFM_INLINE_AVX2 Mask not_less(Vector a, Vector b) { return compare<_CMP_NLT_UQ>(a, b); }
STOFM_INLINE_AVX2 Mask not_greater(Vector a, Vector b) { return compare<_CMP_NGT_UQ>(a, b); }
STOFM_INLINE_AVX2 Mask not_at_most(Vector a, Vector b) { return compare<_CMP_NLE_UQ>(a, b); }
STOFM_INLINE_AVX2 Mask not_equal(Vector a, Vector b) { return compare<_CMP_NEQ_UQ>(a, b); }
STOFM_INLINE_AVX2 Mask is_nan(Vector a) { return compare<_CMP_UNORD_Q>(a, a); }
STOFM_INLINE_AVX2 Mask no_lane() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
STOFM_INLINE_AVX2 Mask either(Mask a, Mask b) {
  return {_mm256_or_ps(a.low, b.low), _mm256_or_ps(a.high, b.high)};
}
STOFM_INLINE_AVX2 __m256 half_mask_of_bits(std::uint32_t bits) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_castsi256_ps(
      _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), bit), bit));
}
STOFM_INLINE_AVX2 Mask mask_of_bits(std::uint32_t bits) {
  return {half_mask_of_bits(bits), half_mask_of_bits(bits >> 8)};
}
STOFM_INLINE_AVX2 std::uint32_t bits_of(Mask mask) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(mask.low)) |
         static_cast<std::uint32_t>(_mm256_movemask_ps(mask.high)) << 8;
}
STOFM_INLINE_AVX2 Vector keep(Mask mask, Vector a) {
  return {_mm256_and_ps(mask.low, a.low), _mm256_and_ps(mask.high, a.high)};
}
STOFM_INLINE_AVX2 Mask mask_of_lanes(Lanes lanes) {
  const Words words = lane_mask(lanes);
  return {_mm256_castsi256_ps(words.low), _mm256_castsi256_ps(words.high)};
}
STOFM_INLINE_AVX2 Vector keep(Lanes lanes, Vector a) {
  return lanes.count == 16 ? a : keep(mask_of_lanes(lanes), a);
}
STOFM_INLINE_AVX2 Vector select(Mask mask, Vector a, Vector b) {
  return {_mm256_blendv_ps(b.low, a.low, mask.low), _mm256_blendv_ps(b.high, a.high, mask.high)};
}
STOFM_INLINE_AVX2 Vector load_or(Vector other, Lanes lanes, const float* p) {
  return lanes.count == 16 ? load(p) : select(mask_of_lanes(lanes), load(lanes, p), other);
}

/// Which lanes `store_packed` puts side by side: for each half where its lanes come from, and how many.
struct Packing {
  Words from;
  std::int64_t low_count, high_count;
};
STOFM_INLINE_AVX2 Packing packing_of_bits(std::uint32_t bits) {
  alignas(32) std::int32_t from[2][8] = {};
  std::int64_t count[2] = {0, 0};
  for (int lane = 0; lane < 16; ++lane)
    if (((bits >> lane) & 1U) != 0) from[lane / 8][count[lane / 8]++] = lane % 8;
  return {{_mm256_load_si256(reinterpret_cast<const __m256i*>(from[0])),
           _mm256_load_si256(reinterpret_cast<const __m256i*>(from[1]))},
          count[0],
          count[1]};
}
STOFM_INLINE_AVX2 void store_packed(float* p, Packing packing, Vector a) {
  const auto mask = [](std::int64_t count) {
    return reinterpret_cast<const __m256i*>(lane_words + 16 - count);
  };
  _mm256_maskstore_ps(p, _mm256_loadu_si256(mask(packing.low_count)),
                      _mm256_permutevar8x32_ps(a.low, packing.from.low));
  _mm256_maskstore_ps(p + packing.low_count, _mm256_loadu_si256(mask(packing.high_count)),
                      _mm256_permutevar8x32_ps(a.high, packing.from.high));
}

STOFM_INLINE_AVX2 Words splat_word(std::uint32_t x) {
  const __m256i all = _mm256_set1_epi32(static_cast<int>(x));
  return {all, all};
}
STOFM_INLINE_AVX2 Words count_up() {
  return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)};
}
STOFM_INLINE_AVX2 Words as_words(Vector a) {
  return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)};
}
STOFM_INLINE_AVX2 Vector as_floats(Words a) {
  return {_mm256_castsi256_ps(a.low), _mm256_castsi256_ps(a.high)};
}
STOFM_INLINE_AVX2 Words add_words(Words a, Words b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
STOFM_INLINE_AVX2 Words either_bit(Words a, Words b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
STOFM_INLINE_AVX2 Words odd_bits(Words a, Words b, Words c) {
  return {_mm256_xor_si256(_mm256_xor_si256(a.low, b.low), c.low),
          _mm256_xor_si256(_mm256_xor_si256(a.high, b.high), c.high)};
}
template <int Bits>
STOFM_INLINE_AVX2 Words shifted_up(Words a) {
  return {_mm256_slli_epi32(a.low, Bits), _mm256_slli_epi32(a.high, Bits)};
}
template <int Bits>
STOFM_INLINE_AVX2 Words shifted_down(Words a) {
  return {_mm256_srli_epi32(a.low, Bits), _mm256_srli_epi32(a.high, Bits)};
}
STOFM_INLINE_AVX2 __m256i one_where_less(__m256i a, __m256i b) {  // not b <= a
  return _mm256_andnot_si256(_mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a), _mm256_set1_epi32(1));
}
STOFM_INLINE_AVX2 Words one_where_less(Words a, Words b) {
  return {one_where_less(a.low, b.low), one_where_less(a.high, b.high)};
}
STOFM_INLINE_AVX2 __m256i keep_halves_from(__m256i a, __m256i threshold, __m256i values) {
  return _mm256_and_si256(_mm256_cmpeq_epi16(_mm256_max_epu16(a, threshold), a), values);
}
STOFM_INLINE_AVX2 Words keep_halves_from(Words a, Words threshold, Words values) {
  return {keep_halves_from(a.low, threshold.low, values.low),
          keep_halves_from(a.high, threshold.high, values.high)};
}
STOFM_INLINE_AVX2 void multiply_wide(__m256i& high, __m256i& low, __m256i x, __m256i by) {
  const __m256i even = _mm256_mul_epu32(x, by), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), by);
  high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
  low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
STOFM_INLINE_AVX2 void multiply_wide(Words& high, Words& low, Words x, Words by) {
  multiply_wide(high.low, low.low, x.low, by.low);
  multiply_wide(high.high, low.high, x.high, by.high);
}
STOFM_INLINE_AVX2 void store_low_bytes(std::uint8_t* p, Lanes lanes, Words a) {
  const __m256i byte = _mm256_set1_epi32(0xff);
  const __m256i mixed = _mm256_packus_epi32(_mm256_and_si256(a.low, byte), _mm256_and_si256(a.high, byte));
  const __m256i halves = _mm256_permute4x64_epi64(mixed, 0xd8);  // 16 halves in the order of the lanes
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  if (lanes.count == 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  std::uint8_t all[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
  std::memcpy(p, all, static_cast<std::size_t>(lanes.count));
}

STOFM_INLINE_AVX2 Doubles load_doubles(const double* p) {
  return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}
STOFM_INLINE_AVX2 Doubles load_widened(const float* p) {
  return {_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4))};
}
STOFM_INLINE_AVX2 void store_doubles(double* p, Doubles a) {
  _mm256_storeu_pd(p, a.low);
  _mm256_storeu_pd(p + 4, a.high);
}
STOFM_INLINE_AVX2 Doubles fma(Doubles a, Doubles b, Doubles c) {
  return {_mm256_fmadd_pd(a.low, b.low, c.low), _mm256_fmadd_pd(a.high, b.high, c.high)};
}

STOFM_INLINE_AVX2 void transpose_8x8(__m256 (&rows)[8]) {
  __m256 t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    rows[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    rows[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    rows[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    rows[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) rows[i] = t[i];
}
/// rows[i][j] <-> rows[j][i]: four squares of 8, the two off the diagonal change places.
STOFM_INLINE_AVX2 void transpose_16x16(Vector (&rows)[16]) {
  __m256 square[8], other[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) square[i] = rows[i].low;
  transpose_8x8(square);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    rows[i].low = square[i];
    square[i] = rows[i].high;
  }
  transpose_8x8(square);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) other[i] = rows[i + 8].low;
  transpose_8x8(other);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    rows[i].high = other[i];
    rows[i + 8].low = square[i];
    square[i] = rows[i + 8].high;
  }
  transpose_8x8(square);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) rows[i + 8].high = square[i];
}

}  // namespace stofm::backend::avx2
STOFM_KERNELS_END
#endif
