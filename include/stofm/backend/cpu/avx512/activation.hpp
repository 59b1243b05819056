// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activation functions and their derivatives on rows, with AVX-512.

#include "stofm/backend/cpu/avx512/vector_math.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// y = activation(x); y may be x.
STOFM_TARGET_AVX512 inline void activate_row(float* y, const float* x, std::int64_t n,
                                             Activation activation) {
  for (std::int64_t j = 0; j < n; j += 16) {
    const __mmask16 lanes = first_lanes(n - j);
    __m512 v = _mm512_maskz_loadu_ps(lanes, x + j);
    if (activation == Activation::relu)
      v = _mm512_maskz_max_ps(0xffff, _mm512_setzero_ps(), v);  // max(0, NaN) = NaN
    if (activation == Activation::gelu) v = gelu_ps(v);
    _mm512_mask_storeu_ps(y + j, lanes, v);
  }
}

/// grad_x = grad_y * activation'(x); grad_x may be grad_y or x.
STOFM_TARGET_AVX512 inline void activation_gradient_row(float* grad_x, const float* grad_y, const float* x,
                                                        std::int64_t n, Activation activation) {
  for (std::int64_t j = 0; j < n; j += 16) {
    const __mmask16 lanes = first_lanes(n - j);
    const __m512 v = _mm512_maskz_loadu_ps(lanes, x + j);
    __m512 grad = _mm512_maskz_loadu_ps(lanes, grad_y + j);
    if (activation == Activation::relu) {
      const __m512 zero = _mm512_setzero_ps();
      const __m512 one_or_zero =
          _mm512_mask_blend_ps(_mm512_cmp_ps_mask(v, zero, _CMP_GT_OQ), zero, _mm512_set1_ps(1.0F));
      grad = _mm512_mul_ps(grad, one_or_zero);  // a NaN of grad_y stays
      grad = _mm512_mask_mov_ps(grad, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), v);
    }
    if (activation == Activation::gelu) grad = _mm512_mul_ps(grad, gelu_derivative_ps(v));
    _mm512_mask_storeu_ps(grad_x + j, lanes, grad);
  }
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
