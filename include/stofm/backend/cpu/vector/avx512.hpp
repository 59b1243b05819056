// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The vector layer on AVX-512: one register of 16 floats. What each function means is said in README.md
/// here; the other sets have the same names. Also used by the AMX kernels, which know that a Vector is a
/// __m512.

#include <cstdint>

#include "stofm/core/cpu_features.hpp"

#if defined(STOFM_X86_KERNELS)
#include <immintrin.h>

#define STOFM_INLINE_AVX512 inline __attribute__((always_inline)) STOFM_TARGET_AVX512

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

using Vector = __m512;    // 16 floats
using Words = __m512i;    // 16 unsigned words
using Doubles = __m512d;  // 8 doubles
using Mask = __mmask16;
using Lanes = __mmask16;  // the first so many lanes

// Tiles of products: 28 of 32 registers hold sums.
inline constexpr std::int64_t row_tile = 14, panel_vectors = 2, task_rows = 56, attention_rows = 28;
inline constexpr std::int64_t strided_rows = 8, strided_vectors = 2;

STOFM_INLINE_AVX512 Lanes first_lanes(std::int64_t count) {
  return count >= 16 ? Lanes(0xffff) : count <= 0 ? Lanes(0) : static_cast<Lanes>((1U << count) - 1U);
}

STOFM_INLINE_AVX512 Vector zero() { return _mm512_setzero_ps(); }
STOFM_INLINE_AVX512 Vector splat(float x) { return _mm512_set1_ps(x); }
STOFM_INLINE_AVX512 Vector load(const float* p) { return _mm512_loadu_ps(p); }
STOFM_INLINE_AVX512 Vector load(Lanes lanes, const float* p) { return _mm512_maskz_loadu_ps(lanes, p); }
STOFM_INLINE_AVX512 Vector load_or(Vector other, Lanes lanes, const float* p) {
  return _mm512_mask_loadu_ps(other, lanes, p);
}
STOFM_INLINE_AVX512 void store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
STOFM_INLINE_AVX512 void store(float* p, Lanes lanes, Vector x) { _mm512_mask_storeu_ps(p, lanes, x); }

STOFM_INLINE_AVX512 Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
STOFM_INLINE_AVX512 Vector sub(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
STOFM_INLINE_AVX512 Vector mul(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
STOFM_INLINE_AVX512 Vector div(Vector a, Vector b) { return _mm512_div_ps(a, b); }
STOFM_INLINE_AVX512 Vector root(Vector a) { return _mm512_sqrt_ps(a); }
STOFM_INLINE_AVX512 Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
STOFM_INLINE_AVX512 Vector fms(Vector a, Vector b, Vector c) { return _mm512_fmsub_ps(a, b, c); }
STOFM_INLINE_AVX512 Vector fnma(Vector a, Vector b, Vector c) { return _mm512_fnmadd_ps(a, b, c); }
STOFM_INLINE_AVX512 Vector larger(Vector a, Vector b) { return _mm512_maskz_max_ps(0xffff, a, b); }
STOFM_INLINE_AVX512 Vector magnitude(Vector a) { return _mm512_abs_ps(a); }
STOFM_INLINE_AVX512 Vector nearest_integer(Vector a) {
  return _mm512_maskz_roundscale_ps(0xffff, a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline constexpr bool power_overflows_to_infinity = true;
STOFM_INLINE_AVX512 Vector times_power_of_two(Vector p, Vector n) {
  return _mm512_maskz_scalef_ps(0xffff, p, n);
}
/// Not vreduceps, which rounds the difference downwards, too: AVX2 has other bits then.
STOFM_INLINE_AVX512 Vector fraction(Vector a) {
  return _mm512_sub_ps(a, _mm512_maskz_roundscale_ps(0xffff, a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}
STOFM_INLINE_AVX512 Vector times_power_of_floor(Vector p, Vector a) {
  return _mm512_maskz_scalef_ps(0xffff, p, a);
}
STOFM_INLINE_AVX512 float sum_of(Vector a) { return _mm512_reduce_add_ps(a); }
STOFM_INLINE_AVX512 float largest_of(Vector a) { return _mm512_reduce_max_ps(a); }

STOFM_INLINE_AVX512 Mask less(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
STOFM_INLINE_AVX512 Mask greater(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
STOFM_INLINE_AVX512 Mask not_less(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ); }
STOFM_INLINE_AVX512 Mask not_greater(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_NGT_UQ); }
STOFM_INLINE_AVX512 Mask not_at_most(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
STOFM_INLINE_AVX512 Mask not_equal(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
STOFM_INLINE_AVX512 Mask is_nan(Vector a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
STOFM_INLINE_AVX512 Mask no_lane() { return 0; }
STOFM_INLINE_AVX512 Mask either(Mask a, Mask b) { return static_cast<Mask>(a | b); }
STOFM_INLINE_AVX512 Mask mask_of_bits(std::uint32_t bits) { return static_cast<Mask>(bits); }
STOFM_INLINE_AVX512 std::uint32_t bits_of(Mask mask) { return mask; }
STOFM_INLINE_AVX512 Vector keep(Mask mask, Vector a) { return _mm512_maskz_mov_ps(mask, a); }
STOFM_INLINE_AVX512 Vector select(Mask mask, Vector a, Vector b) { return _mm512_mask_mov_ps(b, mask, a); }

/// Which lanes `store_packed` puts side by side.
using Packing = __mmask16;
STOFM_INLINE_AVX512 Packing packing_of_bits(std::uint32_t bits) { return static_cast<Packing>(bits); }
STOFM_INLINE_AVX512 void store_packed(float* p, Packing packing, Vector a) {
  const int count = __builtin_popcount(packing);
  _mm512_mask_storeu_ps(p, first_lanes(count), _mm512_maskz_compress_ps(packing, a));
}

STOFM_INLINE_AVX512 Words splat_word(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
STOFM_INLINE_AVX512 Words count_up() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
STOFM_INLINE_AVX512 Words as_words(Vector a) { return _mm512_castps_si512(a); }
STOFM_INLINE_AVX512 Vector as_floats(Words a) { return _mm512_castsi512_ps(a); }
STOFM_INLINE_AVX512 Words add_words(Words a, Words b) { return _mm512_add_epi32(a, b); }
STOFM_INLINE_AVX512 Words either_bit(Words a, Words b) { return _mm512_or_si512(a, b); }
STOFM_INLINE_AVX512 Words odd_bits(Words a, Words b, Words c) {
  return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
template <int Bits>
STOFM_INLINE_AVX512 Words shifted_up(Words a) {
  return _mm512_slli_epi32(a, Bits);
}
template <int Bits>
STOFM_INLINE_AVX512 Words shifted_down(Words a) {
  return _mm512_srli_epi32(a, Bits);
}
STOFM_INLINE_AVX512 Words one_where_less(Words a, Words b) {
  return _mm512_maskz_mov_epi32(_mm512_cmplt_epu32_mask(a, b), _mm512_set1_epi32(1));
}
STOFM_INLINE_AVX512 Words keep_halves_from(Words a, Words threshold, Words values) {
  return _mm512_maskz_mov_epi16(_mm512_cmpge_epu16_mask(a, threshold), values);
}
STOFM_INLINE_AVX512 void multiply_wide(Words& high, Words& low, Words x, Words by) {
  const Words even = _mm512_mul_epu32(x, by), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), by);
  high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
  low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}
STOFM_INLINE_AVX512 void store_low_bytes(std::uint8_t* p, Lanes lanes, Words a) {
  _mm_mask_storeu_epi8(p, lanes, _mm512_cvtepi32_epi8(a));
}

STOFM_INLINE_AVX512 Doubles load_doubles(const double* p) { return _mm512_loadu_pd(p); }
STOFM_INLINE_AVX512 Doubles load_widened(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
STOFM_INLINE_AVX512 void store_doubles(double* p, Doubles a) { _mm512_storeu_pd(p, a); }
STOFM_INLINE_AVX512 Doubles fma(Doubles a, Doubles b, Doubles c) { return _mm512_fmadd_pd(a, b, c); }

/// rows[i][j] <-> rows[j][i], 32-bit lanes.
STOFM_INLINE_AVX512 void transpose_16x16(__m512i (&rows)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    rows[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    rows[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    rows[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}
STOFM_INLINE_AVX512 void transpose_16x16(Vector (&rows)[16]) {
  __m512i words[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) words[i] = _mm512_castps_si512(rows[i]);
  transpose_16x16(words);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_castsi512_ps(words[i]);
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
