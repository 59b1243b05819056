// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Matrix products as plain loops with the roundings of the device: what stands behind the seam in the
/// emulator. Sums over k ascend in float32; the order of cuBLASLt is its own, so the two agree to rounding
/// only.

#include <bit>
#include <vector>

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

  void run(const GemmProblem& p, backend::CudaStream stream) const {
    ++emulator::products();
    (void)emulator::enqueue(static_cast<cudaStream_t>(stream.handle), [p] { multiply(p); });
  }

 private:
  static void multiply(const GemmProblem& p) {
    const bool a_turned = p.form == GemmForm::tn, b_turned = p.form == GemmForm::nt;
    const std::vector<float> a = operand(p, p.a, p.stride_a, p.m, p.k, a_turned),  // [m, k]
        b = operand(p, p.b, p.stride_b, p.k, p.n, b_turned);                       // [k, n]
    std::vector<float> sums(static_cast<std::size_t>(p.n));
    for (std::int64_t i = 0; i < p.m; ++i) {
      sums.assign(sums.size(), 0.0F);
      for (std::int64_t l = 0; l < p.k; ++l) {
        const float factor = a[static_cast<std::size_t>(i * p.k + l)];
        const float* const row = b.data() + l * p.n;
        for (std::int64_t j = 0; j < p.n; ++j) sums[static_cast<std::size_t>(j)] += factor * row[j];
      }
      for (std::int64_t j = 0; j < p.n; ++j) {
        const std::int64_t at = i * p.stride_d + j;
        float value = p.alpha * sums[static_cast<std::size_t>(j)];
        if (p.beta != 0.0F) value += p.beta * read(p.d, at, p.result);
        if (p.epilogue != GemmEpilogue::none) value += read(p.bias, j, p.result);
        if (p.epilogue == GemmEpilogue::bias_relu) value = value < 0.0F ? 0.0F : value;
        if (p.result == GemmElement::float32)
          static_cast<float*>(p.d)[at] = value;
        else
          static_cast<bfloat16*>(p.d)[at] = bfloat16(value);
      }
    }
  }
  static float read(const void* from, std::int64_t at, GemmElement type) {
    return type == GemmElement::float32 ? static_cast<const float*>(from)[at]
                                        : static_cast<float>(static_cast<const bfloat16*>(from)[at]);
  }
  /// [rows, columns] dense, as the device reads it; `turned`: stored as [columns, rows].
  static std::vector<float> operand(const GemmProblem& p, const void* from, std::int64_t stride,
                                    std::int64_t rows, std::int64_t columns, bool turned) {
    std::vector<float> result(static_cast<std::size_t>(rows * columns));
    const bool rounds = p.tf32 && p.operands == GemmElement::float32;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) {
        const float value = read(from, turned ? j * stride + i : i * stride + j, p.operands);
        result[static_cast<std::size_t>(i * columns + j)] = rounds ? round_to_tf32(value) : value;
      }
    return result;
  }
};

}  // namespace stofm::kernels
