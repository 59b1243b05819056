// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// AVX-512 building blocks: exp, gelu, masks for tails, a 16 x 16 transpose, and floats split in two or
/// three bfloat16.

#include <cstdint>

#include "stofm/backend/cpu/isa.hpp"
#include "stofm/core/op_options.hpp"

#if defined(STOFM_X86_KERNELS)
#include <immintrin.h>

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// Lanes [0, count) of 16, for any count (also <= 0 or > 16).
STOFM_INLINE_AVX512 __mmask16 first_lanes(std::int64_t count) {
  return count >= 16  ? __mmask16(0xffff)
         : count <= 0 ? __mmask16(0)
                      : static_cast<__mmask16>((1U << count) - 1U);
}

/// exp(x), at most 2 ulp; 0 below `lowest` (at the default: no denormal results), inf above 88.73; NaN stays
/// NaN, and +inf gives NaN (a softmax never asks for it). Method: x = n ln 2 + r, polynomial of degree 5
/// (relative minimax) in r.
STOFM_INLINE_AVX512 __m512 exp_ps(__m512 x, float lowest = -87.33F) {
  const __m512 n = _mm512_maskz_roundscale_ps(0xffff, _mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341F)),
                                              _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145751953125F), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860682030941723e-6F), r);
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0.001381454F), r, _mm512_set1_ps(0.008368745F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.04166839F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.16666521F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.49999994F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  const __mmask16 kept = _mm512_cmp_ps_mask(x, _mm512_set1_ps(lowest), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(kept, p, n);
}

/// Softmax weights below exp(-60) = 9e-27 of the largest count as zero: they can not change a float32 sum,
/// and their lower bfloat16 halves and products would be denormal, which is slow.
inline constexpr float softmax_floor = -60.0F;

/// P(Z > x) for |x|, Z standard normal: erfc(t) / 2 with t = |x| / sqrt 2. log erfc(t) is a polynomial of
/// degree 8 (minimax, weighted by erfc: 2e-8) on [0, 4.2]; beyond it 0 (erfc(4.2) = 3e-9). NaN stays NaN.
STOFM_INLINE_AVX512 __m512 normal_tail_ps(__m512 x) {
  const __m512 t = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678118654752F));
  __m512 g = _mm512_fmadd_ps(_mm512_set1_ps(-3.1440188e-05F), t, _mm512_set1_ps(0.00030880238F));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(-0.0010324023F));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(-0.0005369324F));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(0.01958396F));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(-0.102919616F));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(-0.63659775F));
  g = _mm512_fmadd_ps(g, t, _mm512_set1_ps(-1.1283803F));
  g = _mm512_mul_ps(g, t);
  const __mmask16 near_zero = _mm512_cmp_ps_mask(t, _mm512_set1_ps(4.2F), _CMP_NGT_UQ);
  return _mm512_maskz_mul_ps(near_zero, exp_ps(g), _mm512_set1_ps(0.5F));
}

/// x (1 + erf(x / sqrt 2)) / 2. With e = P(Z > |x|): x e for x < 0, x - x e for x >= 0, so that the left tail
/// keeps its digits. Error: at most 2^-22 |x|.
STOFM_INLINE_AVX512 __m512 gelu_ps(__m512 x) {
  const __m512 e = normal_tail_ps(x);
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  const __mmask16 has_tail = _mm512_cmp_ps_mask(e, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512 left = _mm512_maskz_mul_ps(has_tail, x, e);  // also 0 for x = -inf
  return _mm512_mask_mov_ps(_mm512_sub_ps(x, left), negative, left);
}

/// d gelu / dx = Phi(x) + x phi(x). Error: about 2^-22.
STOFM_INLINE_AVX512 __m512 gelu_derivative_ps(__m512 x) {
  const __m512 e = normal_tail_ps(x);
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  const __m512 distribution = _mm512_mask_mov_ps(_mm512_sub_ps(_mm512_set1_ps(1.0F), e), negative, e);
  const __m512 half_square = _mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-0.5F));
  const __m512 density = _mm512_mul_ps(exp_ps(half_square), _mm512_set1_ps(0.3989422804F));
  const __mmask16 has_density = _mm512_cmp_ps_mask(density, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  return _mm512_add_ps(distribution, _mm512_maskz_mul_ps(has_density, x, density));
}

/// activation(scale * (x + bias)).
STOFM_INLINE_AVX512 __m512 epilogue_ps(__m512 x, __m512 bias, __m512 scale, Activation activation) {
  x = _mm512_mul_ps(_mm512_add_ps(x, bias), scale);
  if (activation == Activation::relu)
    return _mm512_maskz_max_ps(0xffff, _mm512_setzero_ps(), x);  // max(0, NaN) = NaN
  if (activation == Activation::gelu) return gelu_ps(x);
  return x;
}

/// Two vectors of floats as bfloat16 pairs: hi = rounded to nearest, lo = the rest, rounded. Lane i of each
/// result holds the part of a[i] in its lower and of b[i] in its upper half. hi + lo differs from the value
/// by at most 2^-16 of it. A canonical NaN gives NaN, an infinity inf + NaN.
STOFM_INLINE_AVX512 void split_pairs(__m512 a, __m512 b, __m512i& hi, __m512i& lo) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000U)), half = _mm512_set1_epi32(0x8000);
  const __m512i a_hi = _mm512_and_epi32(_mm512_add_epi32(_mm512_castps_si512(a), half), upper);
  const __m512i b_hi = _mm512_and_epi32(_mm512_add_epi32(_mm512_castps_si512(b), half), upper);
  const __m512 a_rest = _mm512_sub_ps(a, _mm512_castsi512_ps(a_hi));
  const __m512 b_rest = _mm512_sub_ps(b, _mm512_castsi512_ps(b_hi));
  const __m512i a_lo = _mm512_add_epi32(_mm512_castps_si512(a_rest), half);
  const __m512i b_lo = _mm512_add_epi32(_mm512_castps_si512(b_rest), half);
  constexpr int select = 0xe4;  // third operand ? first : second, bit by bit
  hi = _mm512_or_epi32(_mm512_srli_epi32(a_hi, 16), b_hi);
  lo = _mm512_ternarylogic_epi32(b_lo, _mm512_srli_epi32(a_lo, 16), upper, select);
}

/// The same in three: hi + mid + lo is the value, all 24 bits of it (unless lo is denormal). A canonical NaN
/// gives NaN, an infinity inf + NaN.
STOFM_INLINE_AVX512 void split_triples(__m512 a, __m512 b, __m512i& hi, __m512i& mid, __m512i& lo) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000U)), half = _mm512_set1_epi32(0x8000);
  const __m512i a_hi = _mm512_and_epi32(_mm512_add_epi32(_mm512_castps_si512(a), half), upper);
  const __m512i b_hi = _mm512_and_epi32(_mm512_add_epi32(_mm512_castps_si512(b), half), upper);
  hi = _mm512_or_epi32(_mm512_srli_epi32(a_hi, 16), b_hi);
  split_pairs(_mm512_sub_ps(a, _mm512_castsi512_ps(a_hi)), _mm512_sub_ps(b, _mm512_castsi512_ps(b_hi)), mid,
              lo);
}

/// Any NaN as the one NaN that rounding to bfloat16 can not turn into a zero; everything else unchanged.
STOFM_INLINE_AVX512 __m512 canonical_nan(__m512 x) {
  const __m512i quiet_nan_or_same =
      _mm512_set1_epi32(0x11111133);  // one digit per class: quiet, signalling, others
  return _mm512_fixupimm_ps(x, x, quiet_nan_or_same, 0);
}

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

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
