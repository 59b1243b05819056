// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Cross entropy of one row on the CPU, with its gradient.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/core/cpu_features.hpp"

namespace stofm::backend {

/// weight * (log sum_j exp(row_j) - row_target) comes back, gradient = weight * (softmax(row) - one at
/// target). A logit of -inf counts as absent; the sum runs in double (in vector kernels in 16 floats).
template <class T>
double cross_entropy_row(T* gradient, const T* row, std::int64_t n, std::int64_t target, double weight) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  T largest = lowest;
  double sum = 0;
  bool done = false;
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) {
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic) {
      largest = STOFM_AT_LEVEL(level, row_maximum(row, n, lowest));
      if (largest == lowest) largest = T(0);
      std::copy(row, row + n, gradient);
      sum = static_cast<double>(STOFM_AT_LEVEL(level, exponentiate_row(gradient, n, largest)));
      STOFM_AT_LEVEL(level, scale_row(gradient, n, static_cast<float>(weight / sum)));
      done = true;
    }
  }
#endif
  if (!done) {
    for (std::int64_t j = 0; j < n; ++j) largest = row[j] > largest ? row[j] : largest;
    if (largest == lowest) largest = T(0);
    for (std::int64_t j = 0; j < n; ++j) {
      gradient[j] = std::exp(row[j] - largest);
      sum += static_cast<double>(gradient[j]);
    }
    const auto factor = static_cast<T>(weight / sum);
    for (std::int64_t j = 0; j < n; ++j) gradient[j] *= factor;
  }
  gradient[target] -= static_cast<T>(weight);
  return weight * (std::log(sum) + static_cast<double>(largest) - static_cast<double>(row[target]));
}

STOFM_KERNEL_INSTANCES(cross_entropy_row)

}  // namespace stofm::backend
