// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Floats split in two or three bfloat16 with AVX-512, for the tiles of AMX.

#include "stofm/backend/cpu/vector/avx512.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

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

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
