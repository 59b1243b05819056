// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sum of squares in double, in eight sums of every eighth number each. A square of a float is exact in
/// double, so all kernel levels give the same bits.

#include <concepts>
#include <cstdint>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/sum_of_squares.hpp"

namespace stofm::backend {

template <class T>
double sum_of_squares(const T* x, std::int64_t n) {
  double sums[8] = {};
  const std::int64_t whole = n / 8 * 8;
  bool done = false;
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::same_as<T, float>)
    if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic) {
      STOFM_AT_LEVEL(level, add_squares(sums, x, whole));
      done = true;
    }
#endif
  for (std::int64_t i = 0; i < whole && !done; i += 8)
    for (std::int64_t lane = 0; lane < 8; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      sums[lane] += value * value;
    }
  for (std::int64_t i = whole; i < n; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

STOFM_KERNEL_INSTANCES(sum_of_squares)

}  // namespace stofm::backend
