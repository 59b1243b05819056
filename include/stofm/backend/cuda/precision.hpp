// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How matrix products are computed on a CUDA device.

namespace stofm::backend {

/// Precision class of products; sums are float32 in all of them.
enum class Precision {
  float32,     ///< float32 multiplications and additions, no tensor cores: what parity tests use
  split_bf16,  ///< each operand as a sum of two bfloat16, three products of parts: about 16 bits of mantissa
  bf16,        ///< operands rounded to bfloat16, one product
};

}  // namespace stofm::backend
