// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Matrix products as plain loops with the roundings of the device: what stands behind the seam in the
/// emulator. Sums over k ascend in float32 with fused multiply-adds; the order of cuBLASLt is its own, so the
/// two agree to rounding only.

#include <bit>
#include <cmath>
#include <cstring>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/device.hpp"
#include "stofm/core/scalar.hpp"
#include "stofm/kernels/gemm/problem.hpp"

namespace stofm::kernels {

/// As the tensor cores read a float32 operand: 10 bits of mantissa, to nearest, ties away from zero.
inline float round_to_tf32(float value) {
  const auto raw = std::bit_cast<std::uint32_t>(value);
  if ((raw & 0x7f800000U) == 0x7f800000U) return value;
  return std::bit_cast<float>((raw + 0x1000U) & 0xffffe000U);
}

class Gemm {
 public:
  explicit Gemm(Cuda) {}

  void run(const GemmProblem& p, backend::CudaStream) const {
    for (std::int64_t i = 0; i < p.m; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) {
        float sum = 0.0F;
        for (std::int64_t l = 0; l < p.k; ++l)
          sum = std::fma(operand(p, p.a, p.form == GemmForm::tn ? l * p.stride_a + i : i * p.stride_a + l),
                         operand(p, p.b, p.form == GemmForm::nt ? j * p.stride_b + l : l * p.stride_b + j),
                         sum);
        const std::int64_t at = i * p.stride_d + j;
        float value = p.alpha * sum;
        if (p.beta != 0.0F) value += p.beta * read(p.d, at, p.result);
        if (p.epilogue != GemmEpilogue::none) value += read(p.bias, j, p.result);
        if (p.epilogue == GemmEpilogue::bias_relu) value = value < 0.0F ? 0.0F : value;
        if (p.result == GemmElement::float32)
          static_cast<float*>(p.d)[at] = value;
        else
          static_cast<bfloat16*>(p.d)[at] = bfloat16(value);
      }
  }

 private:
  static float read(const void* from, std::int64_t at, GemmElement type) {
    return type == GemmElement::float32 ? static_cast<const float*>(from)[at]
                                        : static_cast<float>(static_cast<const bfloat16*>(from)[at]);
  }
  static float operand(const GemmProblem& p, const void* from, std::int64_t at) {
    const float value = read(from, at, p.operands);
    return p.tf32 && p.operands == GemmElement::float32 ? round_to_tf32(value) : value;
  }
};

}  // namespace stofm::kernels
