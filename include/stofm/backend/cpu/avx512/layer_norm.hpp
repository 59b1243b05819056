// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of one row with AVX-512: mean, then squares of differences, in four sums of 16 lanes
/// each.

#include <cmath>

#include "stofm/backend/cpu/avx512/vector_math.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

STOFM_INLINE_AVX512 float total(const __m512 (&s)[4]) {
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

/// y = (z - mean z) / sqrt(var z + eps) * gamma + beta with z = x (+ residual). y may be x.
STOFM_TARGET_AVX512 inline void layer_norm_row(float* y, const float* x, const float* residual,
                                               const float* gamma, const float* beta, std::int64_t n,
                                               double eps) {
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  for (std::int64_t start = 0; start < n; start += 64) {
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) {
      const std::int64_t j = start + t * 16;
      const __mmask16 lanes = first_lanes(n - j);
      __m512 z = _mm512_maskz_loadu_ps(lanes, x + j);
      if (residual != nullptr) z = _mm512_add_ps(z, _mm512_maskz_loadu_ps(lanes, residual + j));
      _mm512_mask_storeu_ps(y + j, lanes, z);
      sums[t] = _mm512_add_ps(sums[t], z);
    }
  }
  const __m512 mean = _mm512_set1_ps(total(sums) / static_cast<float>(n));
  __m512 squares[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  for (std::int64_t start = 0; start < n; start += 64) {
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) {
      const std::int64_t j = start + t * 16;
      const __mmask16 lanes = first_lanes(n - j);
      const __m512 c = _mm512_maskz_sub_ps(lanes, _mm512_maskz_loadu_ps(lanes, y + j), mean);
      squares[t] = _mm512_fmadd_ps(c, c, squares[t]);
    }
  }
  const double variance = static_cast<double>(total(squares)) / static_cast<double>(n);
  const __m512 factor = _mm512_set1_ps(static_cast<float>(1.0 / std::sqrt(variance + eps)));
  for (std::int64_t j = 0; j < n; j += 16) {
    const __mmask16 lanes = first_lanes(n - j);
    const __m512 c = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, y + j), mean), factor);
    _mm512_mask_storeu_ps(
        y + j, lanes,
        _mm512_fmadd_ps(c, _mm512_maskz_loadu_ps(lanes, gamma + j), _mm512_maskz_loadu_ps(lanes, beta + j)));
  }
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
