// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Scalars in device code: bits of floats, bfloat16 <-> float (the same rounding as core/scalar.hpp),
/// smallest and largest, powers of two. There are no atomics on purpose: their order is not fixed.

#include <cstring>
#include <type_traits>

#include "stofm/core/scalar.hpp"
#include "stofm/kernels/common/platform.cuh"

namespace stofm::kernels {

__host__ __device__ __forceinline__ std::uint32_t bits_of(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
#endif
}
__host__ __device__ __forceinline__ float float_of(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
#endif
}

template <class T>
__host__ __device__ __forceinline__ constexpr T minimum(T a, T b) {
  return b < a ? b : a;
}
template <class T>
__host__ __device__ __forceinline__ constexpr T maximum(T a, T b) {
  return a < b ? b : a;
}
/// The larger of two floats in one instruction (maximum() takes two); of a NaN and a number, the number.
__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }

/// 2^x in one instruction instead of exp2f's four, with its error of 2 ulp; results below 2^-126 are zero.
/// 0 at -inf, NaN at NaN.
__device__ __forceinline__ float power_of_two(float x) {
  float y;
#if defined(__CUDA_ARCH__)
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
#else
  y = exp2f(x);
  if (y < 0x1p-126F) y = 0.0F;
#endif
  return y;
}
__device__ __forceinline__ float log_of_two(float x) { return log2f(x); }

__host__ __device__ __forceinline__ constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Exact.
__host__ __device__ __forceinline__ float to_float(bfloat16 x) {
  return float_of(static_cast<std::uint32_t>(x.bits) << 16);
}
__host__ __device__ __forceinline__ float to_float(float x) { return x; }

/// The upper 16 bits of x rounded to nearest, ties to even; NaN stays NaN.
__host__ __device__ __forceinline__ std::uint32_t bfloat16_bits(float x) {
  const std::uint32_t raw = bits_of(x);
  if ((raw & 0x7fffffffU) > 0x7f800000U) return (raw >> 16) | 0x0040U;
  return (raw + 0x7fffU + ((raw >> 16) & 1U)) >> 16;
}
__host__ __device__ __forceinline__ bfloat16 to_bfloat16(float x) {
  bfloat16 y;
  y.bits = static_cast<std::uint16_t>(bfloat16_bits(x));
  return y;
}

/// Two floats as bfloat16 in one register, `low` in the lower half.
__device__ __forceinline__ std::uint32_t pack_bfloat16(float low, float high) {
#if defined(__CUDA_ARCH__)
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return bfloat16_bits(low) | (bfloat16_bits(high) << 16);
#endif
}
__device__ __forceinline__ float low_bfloat16(std::uint32_t packed) { return float_of(packed << 16); }
__device__ __forceinline__ float high_bfloat16(std::uint32_t packed) {
  return float_of(packed & 0xffff0000U);
}

// ---- Sums, differences and products that are rounded one by one. nvcc contracts a * b + c into one rounding by
// default; where the bits must be those of the CPU code, which rounds every product (STOFM_UNFUSED), these are
// used.

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
