// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums, differences and products that are rounded one by one. nvcc contracts a * b + c into one rounding by
/// default; where the bits must be those of the CPU code, which rounds every product (STOFM_UNFUSED), these
/// are used.

#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels {

__device__ __forceinline__ float rounded_add(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}
__device__ __forceinline__ double rounded_add(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dadd_rn(a, b);
#else
  return a + b;
#endif
}
__device__ __forceinline__ float rounded_multiply(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
__device__ __forceinline__ double rounded_multiply(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

/// sum + (a - b)^2 with three roundings: one term of a squared distance.
template <class T>
__device__ __forceinline__ T add_squared_difference(T sum, T a, T b) {
  const T difference = rounded_add(a, -b);
  return rounded_add(sum, rounded_multiply(difference, difference));
}

}  // namespace stofm::kernels
