// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Keep masks of dropout in device code: the bits of `DropoutMask` (core/random_key.hpp), drawn from a
/// counter, so CPU and GPU, forward and backward agree without a stored mask.

#include "stofm/core/random_key.hpp"
#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels {

/// `DropoutMask` and its factor as a plain struct for Params; threshold 0 drops nothing.
struct DropoutParams {
  std::uint32_t key[4] = {0, 0, 0, 0};
  std::uint32_t threshold = 0;
  float factor = 1.0F;
};
inline DropoutParams dropout_params(const DropoutMask& mask, double factor) {
  return {{mask.key[0], mask.key[1], mask.key[2], mask.key[3]}, mask.threshold, static_cast<float>(factor)};
}

struct PhiloxBlock {
  std::uint32_t word[4];
};
/// Ten rounds of Philox4x32 (core/random.hpp).
__host__ __device__ __forceinline__ PhiloxBlock philox(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2,
                                                       std::uint32_t c3, std::uint32_t k0, std::uint32_t k1) {
  STOFM_UNROLL
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = 0xD2511F53ULL * c0, b = 0xCD9E8D57ULL * c2;
    const std::uint32_t next0 = static_cast<std::uint32_t>(b >> 32) ^ c1 ^ k0;
    const std::uint32_t next2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(b);
    c3 = static_cast<std::uint32_t>(a);
    c0 = next0;
    c2 = next2;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {{c0, c1, c2, c3}};
}

/// Keep bits of elements 8 * block to 8 * block + 7, the first in bit 0.
__host__ __device__ __forceinline__ std::uint32_t keep_bits(const DropoutParams& dropout,
                                                            std::uint64_t block) {
  const PhiloxBlock words = philox(static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                                   dropout.key[2], dropout.key[3], dropout.key[0], dropout.key[1]);
  std::uint32_t bits = 0;
  STOFM_UNROLL
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t half = (words.word[i / 2] >> (16 * (i % 2))) & 0xffffU;
    bits |= static_cast<std::uint32_t>(half >= dropout.threshold) << i;
  }
  return bits;
}
/// Whether one element is kept; draw whole blocks where several elements of one are needed.
__host__ __device__ __forceinline__ bool keeps(const DropoutParams& dropout, std::uint64_t element) {
  return dropout.threshold == 0 || ((keep_bits(dropout, element / 8) >> (element % 8)) & 1U) != 0;
}

}  // namespace stofm::kernels
