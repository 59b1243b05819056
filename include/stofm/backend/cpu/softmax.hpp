// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax of rows on the CPU, and the exponentials under it.

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// Largest element of a row (0 where all are -inf) and the sum of the exponentials from there.
template <class T>
struct RowExponentials {
  T largest;
  double sum;
};

/// row = exp(row - its largest). The sum runs in double; in vector kernels in 16 floats, and there results
/// below exp(lowest) are 0.
template <class T>
RowExponentials<T> exponentiate(T* row, std::int64_t n, [[maybe_unused]] float lowest = -87.33F) {
  constexpr T least = -std::numeric_limits<T>::infinity();
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>)
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic) {
      float largest = STOFM_AT_LEVEL(level, row_maximum(row, n, least));
      if (largest == least) largest = 0.0F;
      return {largest, static_cast<double>(STOFM_AT_LEVEL(level, exponentiate_row(row, n, largest, lowest)))};
    }
#endif
  T largest = least;
  for (std::int64_t j = 0; j < n; ++j) largest = row[j] > largest ? row[j] : largest;
  if (largest == least) largest = T(0);
  double sum = 0;
  for (std::int64_t j = 0; j < n; ++j) sum += static_cast<double>(row[j] = std::exp(row[j] - largest));
  return {largest, sum};
}

/// row *= factor.
template <class T>
void multiply_row(T* row, std::int64_t n, T factor) {
  STOFM_RETURN_KERNEL(T, cpu_kernels(), scale_row(row, n, factor))
  for (std::int64_t j = 0; j < n; ++j) row[j] *= factor;
}

/// One row in place; log sum exp comes back. All -inf (everything masked) gives zeros; a NaN makes the row
/// NaN.
template <class T>
double softmax_row(T* row, std::int64_t n) {
  const auto [largest, sum] = exponentiate(row, n);
  multiply_row(row, n, sum == 0 ? T(0) : static_cast<T>(1.0 / sum));
  return static_cast<double>(largest) + std::log(sum);
}

/// x, y: [M, N] with dense rows; y may be x.
template <class T>
void softmax(Cpu, TensorView<T> y, TensorView<const T> x) {
  parallel_for(y.dim(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T* row = y.row(i);
      if (row != x.row(i))
        for (std::int64_t j = 0; j < y.dim(1); ++j) row[j] = x.row(i)[j];
      softmax_row(row, y.dim(1));
    }
  });
}

STOFM_KERNEL_INSTANCES(exponentiate)
STOFM_KERNEL_INSTANCES(multiply_row)
STOFM_KERNEL_INSTANCES(softmax)

}  // namespace stofm::backend
