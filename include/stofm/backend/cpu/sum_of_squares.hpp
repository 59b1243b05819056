// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sum of squares in double, in eight sums of every eighth number each. A square of a float is exact in
/// double, so all kernel levels give the same bits.

#include <concepts>
#include <cstdint>

#include "stofm/backend/cpu/avx512/vector_math.hpp"
#include "stofm/backend/cpu/instances.hpp"

namespace stofm::backend {

#if defined(STOFM_X86_KERNELS)
STOFM_KERNELS_BEGIN
namespace avx512 {
/// Adds the squares of x[0, n), n a multiple of 8, to eight sums.
STOFM_TARGET_AVX512 inline void add_squares(double* sums, const float* x, std::int64_t n) {
  __m512d sum = _mm512_loadu_pd(sums);
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m512d value = _mm512_cvtps_pd(_mm256_loadu_ps(x + i));
    sum = _mm512_fmadd_pd(value, value, sum);
  }
  _mm512_storeu_pd(sums, sum);
}
}  // namespace avx512
STOFM_KERNELS_END
#endif

template <class T>
double sum_of_squares(const T* x, std::int64_t n) {
  double sums[8] = {};
  const std::int64_t whole = n / 8 * 8;
  bool done = false;
#if defined(STOFM_X86_KERNELS)
  if constexpr (std::same_as<T, float>)
    if (cpu_kernels() >= CpuKernels::avx512) {
      avx512::add_squares(sums, x, whole);
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

STOFM_KERNEL_INSTANCE(double sum_of_squares<float>(const float* x, std::int64_t n))
STOFM_KERNEL_INSTANCE(double sum_of_squares<double>(const double* x, std::int64_t n))

}  // namespace stofm::backend
