// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One AdamW step of a run of numbers (formula in nn/adamw.hpp): values and both moments in one pass. The
/// AVX-512 form does the same roundings in the same order as the plain loop, in every build.

#include <cmath>
#include <concepts>
#include <cstdint>

#include "stofm/backend/cpu/avx512/vector_math.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/core/exact_rounding.hpp"

namespace stofm::backend {

/// The numbers of a step, rounded once to the type of the values.
template <class T>
struct AdamWStep {
  T keep = 1;             ///< 1 - rate * decay
  T gradient_factor = 1;  ///< on the gradients, before all else
  T one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0;
  T step_size = 0;        ///< rate / (1 - beta1^t)
  T root_correction = 1;  ///< sqrt(1 - beta2^t)
  T epsilon = 0;
};

#if defined(STOFM_X86_KERNELS)
STOFM_KERNELS_BEGIN
namespace avx512 {
STOFM_TARGET_AVX512 inline void adamw_step(float* x, float* m, float* v, const float* grad, std::int64_t n,
                                           const AdamWStep<float>& step) {
  const __m512 keep = _mm512_set1_ps(step.keep), factor = _mm512_set1_ps(step.gradient_factor),
               rest1 = _mm512_set1_ps(step.one_minus_beta1), beta2 = _mm512_set1_ps(step.beta2),
               rest2 = _mm512_set1_ps(step.one_minus_beta2), size = _mm512_set1_ps(step.step_size),
               root = _mm512_set1_ps(step.root_correction), epsilon = _mm512_set1_ps(step.epsilon);
  for (std::int64_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512 g = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, grad + i), factor);
    const __m512 m0 = _mm512_maskz_loadu_ps(lanes, m + i), v0 = _mm512_maskz_loadu_ps(lanes, v + i);
    const __m512 m1 = _mm512_add_ps(m0, _mm512_mul_ps(rest1, _mm512_sub_ps(g, m0)));
    const __m512 v1 = _mm512_add_ps(_mm512_mul_ps(v0, beta2), _mm512_mul_ps(_mm512_mul_ps(rest2, g), g));
    const __m512 denominator = _mm512_add_ps(_mm512_div_ps(_mm512_sqrt_ps(v1), root), epsilon);
    const __m512 x0 = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), keep);
    _mm512_mask_storeu_ps(m + i, lanes, m1);
    _mm512_mask_storeu_ps(v + i, lanes, v1);
    _mm512_mask_storeu_ps(x + i, lanes,
                          _mm512_sub_ps(x0, _mm512_div_ps(_mm512_mul_ps(size, m1), denominator)));
  }
}
}  // namespace avx512
STOFM_KERNELS_END
#endif

/// x, m, v <- after one step with gradient `grad`, `n` dense elements each.
template <class T>
STOFM_UNFUSED void adamw_step(T* x, T* m, T* v, const T* grad, std::int64_t n, const AdamWStep<T>& step) {
  STOFM_UNFUSED_BODY
#if defined(STOFM_X86_KERNELS)
  if constexpr (std::same_as<T, float>)
    if (cpu_kernels() >= CpuKernels::avx512) return avx512::adamw_step(x, m, v, grad, n, step);
#endif
  for (std::int64_t i = 0; i < n; ++i) {
    const T g = grad[i] * step.gradient_factor;
    m[i] = m[i] + step.one_minus_beta1 * (g - m[i]);
    v[i] = v[i] * step.beta2 + step.one_minus_beta2 * g * g;
    const T denominator = std::sqrt(v[i]) / step.root_correction + step.epsilon;
    x[i] = x[i] * step.keep - step.step_size * m[i] / denominator;
  }
}

STOFM_KERNEL_INSTANCE(void adamw_step<float>(float* x, float* m, float* v, const float* grad, std::int64_t n,
                                             const AdamWStep<float>& step))
STOFM_KERNEL_INSTANCE(void adamw_step<double>(double* x, double* m, double* v, const double* grad,
                                              std::int64_t n, const AdamWStep<double>& step))

}  // namespace stofm::backend
