// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activation functions and their derivatives on the CPU.

#include <cmath>
#include <limits>
#include <type_traits>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/activation.hpp"
#include "stofm/core/op_options.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::backend {

/// One value (the portable form).
template <class T>
T activate(T x, Activation activation) {
  if (activation == Activation::relu) return x < T(0) ? T(0) : x;
  if (activation == Activation::gelu) {
    if (x == -std::numeric_limits<T>::infinity()) return T(0);  // the limit, as on all levels
    return T(0.5) * x * (T(1) + std::erf(x * T(0.70710678118654752440)));
  }
  return x;
}

/// y, x: [M, N] with dense rows; y may be x.
template <class T>
void activate_rows(Cpu, TensorView<T> y, TensorView<const T> x, Activation activation) {
  [[maybe_unused]] const CpuKernels level = cpu_kernels();
  parallel_for(y.dim(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
#if defined(STOFM_VECTOR_KERNELS)
      if constexpr (std::is_same_v<T, float>) {
        if (level != CpuKernels::generic) {
          STOFM_AT_LEVEL(level, activate_row(y.row(i), x.row(i), y.dim(1), activation));
          continue;
        }
      }
#endif
      for (std::int64_t j = 0; j < y.dim(1); ++j) y.row(i)[j] = activate(x.row(i)[j], activation);
    }
  });
}

/// grad_y * activation'(x), one value at a time (the portable form).
template <class T>
T activation_gradient_value(T grad_y, T x, Activation activation) {
  if (activation == Activation::relu) return x > T(0) ? grad_y : x <= T(0) ? grad_y * T(0) : x;
  if (activation == Activation::gelu) {
    const T distribution = T(0.5) * (T(1) + std::erf(x * T(0.70710678118654752440)));
    const T density = T(0.39894228040143267794) * std::exp(T(-0.5) * x * x);
    return grad_y * (distribution + (density == T(0) ? T(0) : x * density));  // also for infinities
  }
  return grad_y;
}

/// All [M, N] with dense rows; grad_x may be grad_y or x.
template <class T>
void activation_gradient(Cpu, TensorView<T> grad_x, TensorView<const T> grad_y, TensorView<const T> x,
                         Activation activation) {
  [[maybe_unused]] const CpuKernels level = cpu_kernels();
  parallel_for(grad_x.dim(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
#if defined(STOFM_VECTOR_KERNELS)
      if constexpr (std::is_same_v<T, float>) {
        if (level != CpuKernels::generic) {
          STOFM_AT_LEVEL(level, activation_gradient_row(grad_x.row(i), grad_y.row(i), x.row(i), grad_x.dim(1),
                                                        activation));
          continue;
        }
      }
#endif
      for (std::int64_t j = 0; j < grad_x.dim(1); ++j)
        grad_x.row(i)[j] = activation_gradient_value(grad_y.row(i)[j], x.row(i)[j], activation);
    }
  });
}

STOFM_KERNEL_INSTANCES(activate_rows)
STOFM_KERNEL_INSTANCES(activation_gradient)

}  // namespace stofm::backend
