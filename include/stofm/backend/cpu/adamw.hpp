// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One AdamW step of a run of numbers (formula in nn/adamw.hpp): values and both moments in one pass. The
/// vector form does the same roundings in the same order as the plain loop, in every build.

#include <cmath>
#include <concepts>
#include <cstdint>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/adamw.hpp"
#include "stofm/core/exact_rounding.hpp"

namespace stofm::backend {

/// x, m, v <- after one step with gradient `grad`, `n` dense elements each.
template <class T>
STOFM_UNFUSED void adamw_step(T* x, T* m, T* v, const T* grad, std::int64_t n, const AdamWStep<T>& step) {
  STOFM_UNFUSED_BODY
  STOFM_RETURN_KERNEL(T, cpu_kernels(), adamw_step(x, m, v, grad, n, step))
  for (std::int64_t i = 0; i < n; ++i) {
    const T g = grad[i] * step.gradient_factor;
    m[i] = m[i] + step.one_minus_beta1 * (g - m[i]);
    v[i] = v[i] * step.beta2 + step.one_minus_beta2 * g * g;
    const T denominator = std::sqrt(v[i]) / step.root_correction + step.epsilon;
    x[i] = x[i] * step.keep - step.step_size * m[i] / denominator;
  }
}

STOFM_KERNEL_INSTANCES(adamw_step)

}  // namespace stofm::backend
