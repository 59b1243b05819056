// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of the layer normalisation of one row with AVX-512 (see layer_norm_gradient.hpp for the formula).

#include "stofm/backend/cpu/avx512/layer_norm.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// grad_z, and grad_y h and grad_y added to the sums of a block of rows. `h`: n floats of scratch. grad_z may
/// be grad_y.
STOFM_TARGET_AVX512 inline void layer_norm_gradient_row(float* grad_z, float* sum_gamma, float* sum_beta,
                                                        float* h, const float* grad_y, const float* x,
                                                        const float* residual, const float* gamma,
                                                        std::int64_t n, double eps) {
  const __m512 zero = _mm512_setzero_ps();
  __m512 sums[4] = {zero, zero, zero, zero};
  for (std::int64_t start = 0; start < n; start += 64) {
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) {
      const std::int64_t j = start + t * 16;
      const __mmask16 lanes = first_lanes(n - j);
      __m512 z = _mm512_maskz_loadu_ps(lanes, x + j);
      if (residual != nullptr) z = _mm512_add_ps(z, _mm512_maskz_loadu_ps(lanes, residual + j));
      _mm512_mask_storeu_ps(h + j, lanes, z);
      sums[t] = _mm512_add_ps(sums[t], z);
    }
  }
  const __m512 mean = _mm512_set1_ps(total(sums) / static_cast<float>(n));
  __m512 squares[4] = {zero, zero, zero, zero};
  for (std::int64_t start = 0; start < n; start += 64) {
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) {
      const std::int64_t j = start + t * 16;
      const __mmask16 lanes = first_lanes(n - j);
      const __m512 c = _mm512_maskz_sub_ps(lanes, _mm512_maskz_loadu_ps(lanes, h + j), mean);
      squares[t] = _mm512_fmadd_ps(c, c, squares[t]);
    }
  }
  const double variance = static_cast<double>(total(squares)) / static_cast<double>(n);
  const __m512 factor = _mm512_set1_ps(static_cast<float>(1.0 / std::sqrt(variance + eps)));
  __m512 along_one[4] = {zero, zero, zero, zero}, along_h[4] = {zero, zero, zero, zero};
  for (std::int64_t start = 0; start < n; start += 64) {
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) {
      const std::int64_t j = start + t * 16;
      const __mmask16 lanes = first_lanes(n - j);
      const __m512 unit =
          _mm512_maskz_mul_ps(lanes, _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, h + j), mean), factor);
      const __m512 grad = _mm512_maskz_loadu_ps(lanes, grad_y + j);
      const __m512 g = _mm512_mul_ps(grad, _mm512_maskz_loadu_ps(lanes, gamma + j));
      along_one[t] = _mm512_add_ps(along_one[t], g);
      along_h[t] = _mm512_fmadd_ps(g, unit, along_h[t]);
      _mm512_mask_storeu_ps(h + j, lanes, unit);
      _mm512_mask_storeu_ps(sum_gamma + j, lanes,
                            _mm512_fmadd_ps(grad, unit, _mm512_maskz_loadu_ps(lanes, sum_gamma + j)));
      _mm512_mask_storeu_ps(sum_beta + j, lanes,
                            _mm512_add_ps(grad, _mm512_maskz_loadu_ps(lanes, sum_beta + j)));
    }
  }
  const __m512 mean_one = _mm512_set1_ps(total(along_one) / static_cast<float>(n));
  const __m512 mean_h = _mm512_set1_ps(total(along_h) / static_cast<float>(n));
  for (std::int64_t j = 0; j < n; j += 16) {
    const __mmask16 lanes = first_lanes(n - j);
    const __m512 g =
        _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, grad_y + j), _mm512_maskz_loadu_ps(lanes, gamma + j));
    const __m512 rest =
        _mm512_fnmadd_ps(_mm512_maskz_loadu_ps(lanes, h + j), mean_h, _mm512_sub_ps(g, mean_one));
    _mm512_mask_storeu_ps(grad_z + j, lanes, _mm512_mul_ps(factor, rest));
  }
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
