// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Keep bits of sixteen blocks of a DropoutMask (core/random_key.hpp) at once: 128 elements per call, the
/// same bits as `DropoutMask::block`.

#include "stofm/backend/cpu/avx512/vector_math.hpp"
#include "stofm/core/random_key.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// High and low halves of the 32 x 32 bit products of `x` with the constant in every lane of `by`.
STOFM_INLINE_AVX512 void multiply_wide(__m512i& high, __m512i& low, __m512i x, __m512i by) {
  const __m512i even = _mm512_mul_epu32(x, by), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), by);
  high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
  low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}

/// Bytes of the sixteen blocks whose numbers have the low words `low` and high words `high`; byte i belongs
/// to lane i.
STOFM_INLINE_AVX512 __m128i dropout_blocks(const DropoutMask& mask, __m512i low, __m512i high) {
  const __m512i first = _mm512_set1_epi32(static_cast<int>(0xD2511F53U)),
                second = _mm512_set1_epi32(static_cast<int>(0xCD9E8D57U));
  __m512i c0 = low, c1 = high, c2 = _mm512_set1_epi32(static_cast<int>(mask.key[2])),
          c3 = _mm512_set1_epi32(static_cast<int>(mask.key[3]));
  std::uint32_t k0 = mask.key[0], k1 = mask.key[1];
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    __m512i a_high, a_low, b_high, b_low;
    multiply_wide(a_high, a_low, c0, first);
    multiply_wide(b_high, b_low, c2, second);
    c0 =
        _mm512_ternarylogic_epi32(b_high, c1, _mm512_set1_epi32(static_cast<int>(k0)), 0x96);  // xor of three
    c2 = _mm512_ternarylogic_epi32(a_high, c3, _mm512_set1_epi32(static_cast<int>(k1)), 0x96);
    c1 = b_low;
    c3 = a_low;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  // Word k of lane b holds elements 2k and 2k + 1 of block b in its 16-bit halves: each kept half leaves its
  // bit.
  const __m512i threshold = _mm512_set1_epi16(static_cast<short>(mask.threshold));
  const __m512i pair = _mm512_set1_epi32(0x00020001);
  const auto bits_of = [&](__m512i word, unsigned shift) STOFM_TARGET_AVX512 {
    return _mm512_slli_epi32(_mm512_maskz_mov_epi16(_mm512_cmpge_epu16_mask(word, threshold), pair), shift);
  };
  __m512i bits = _mm512_or_si512(_mm512_or_si512(bits_of(c0, 0), bits_of(c1, 2)),
                                 _mm512_or_si512(bits_of(c2, 4), bits_of(c3, 6)));
  bits = _mm512_or_si512(bits, _mm512_srli_epi32(bits, 16));
  return _mm512_cvtepi32_epi8(bits);
}

/// Bytes of blocks `block` to `block + 15`.
STOFM_INLINE_AVX512 __m128i dropout_blocks(const DropoutMask& mask, std::uint64_t block) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i start = _mm512_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(block)));
  const __m512i low = _mm512_add_epi32(start, lane);
  const __mmask16 carried = _mm512_cmplt_epu32_mask(low, start);
  const __m512i high = _mm512_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(block >> 32)));
  return dropout_blocks(mask, low, _mm512_mask_add_epi32(high, carried, high, _mm512_set1_epi32(1)));
}

STOFM_TARGET_AVX512 inline void dropout_mask_blocks(std::uint8_t* out, const DropoutMask& mask,
                                                    std::uint64_t first, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += 16) {
    const __mmask16 lanes = first_lanes(count - i);
    _mm_mask_storeu_epi8(out + i, lanes, dropout_blocks(mask, first + static_cast<std::uint64_t>(i)));
  }
}

/// y = factor * x where the bit is set, else 0; `x` of `n` floats that start at the first bit of `bits`.
STOFM_TARGET_AVX512 inline void apply_dropout(float* y, const float* x, const std::uint8_t* bits,
                                              std::int64_t n, float factor) {
  const __m512 by = _mm512_set1_ps(factor);
  for (std::int64_t j = 0; j < n; j += 16) {
    const auto kept = static_cast<__mmask16>(bits[j / 8] | (j + 8 < n ? bits[j / 8 + 1] << 8 : 0));
    const __mmask16 lanes = first_lanes(n - j);
    _mm512_mask_storeu_ps(y + j, lanes, _mm512_maskz_mul_ps(kept, _mm512_maskz_loadu_ps(lanes, x + j), by));
  }
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
