// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of rows on the CPU.

#include <cmath>
#include <type_traits>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/layer_norm.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// y = (z - mean z) / sqrt(var z + eps) * gamma + beta with z = x (+ residual), two passes in double.
template <class T>
void layer_norm_row_generic(T* y, const T* x, const T* residual, const T* gamma, const T* beta,
                            std::int64_t n, double eps) {
  double sum = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    const T z = residual != nullptr ? x[j] + residual[j] : x[j];
    y[j] = z;
    sum += static_cast<double>(z);
  }
  const double mean = sum / static_cast<double>(n);
  double squares = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    const double c = static_cast<double>(y[j]) - mean;
    squares += c * c;
  }
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (std::int64_t j = 0; j < n; ++j)
    y[j] = static_cast<T>((static_cast<double>(y[j]) - mean) * factor * static_cast<double>(gamma[j]) +
                          static_cast<double>(beta[j]));
}

/// x, residual (or no data), y: [M, N]; gamma, beta: [N]. y may be x, not residual.
template <class T>
void layer_norm(Cpu, TensorView<T> y, TensorView<const T> x, TensorView<const T> residual, const T* gamma,
                const T* beta, double eps) {
  const std::int64_t n = y.dim(1);
  if (n == 0) return;
  [[maybe_unused]] const CpuKernels level = cpu_kernels();
  parallel_for(y.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* other = residual.data != nullptr ? residual.row(i) : nullptr;
#if defined(STOFM_VECTOR_KERNELS)
      if constexpr (std::is_same_v<T, float>) {
        if (level != CpuKernels::generic) {
          STOFM_AT_LEVEL(level, layer_norm_row(y.row(i), x.row(i), other, gamma, beta, n, eps));
          continue;
        }
      }
#endif
      layer_norm_row_generic(y.row(i), x.row(i), other, gamma, beta, n, eps);
    }
  });
}

STOFM_KERNEL_INSTANCES(layer_norm)

}  // namespace stofm::backend
