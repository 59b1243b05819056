// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Keep masks of dropout on the CPU: many blocks at once, and their application to numbers.

#include <concepts>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/dropout_mask.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::backend {

/// out[i] = keep bits of block first + i (elements 8 (first + i) to 8 (first + i) + 7). The same bits on
/// every kernel level. *Cost* about one cycle per element with AVX-512.
inline void dropout_mask_blocks(std::uint8_t* out, const DropoutMask& mask, std::uint64_t first,
                                std::int64_t count) {
#if defined(STOFM_VECTOR_KERNELS)
  const CpuKernels level = cpu_kernels();
  if (level != CpuKernels::generic)
    return STOFM_AT_LEVEL(level, dropout_mask_blocks(out, mask, first, count));
#endif
  for (std::int64_t i = 0; i < count; ++i) out[i] = mask.block(first + static_cast<std::uint64_t>(i));
}

/// y = x * keep * factor over `n` dense elements, element e of them drawn as element e of the mask; y may be
/// x.
template <class T>
void dropout(T* y, const T* x, std::int64_t n, const DropoutMask& mask, T factor) {
  parallel_for(n, 8192, [&](std::int64_t begin, std::int64_t end) {
    std::uint8_t bits[1024];  // a chunk of 8192 elements
    dropout_mask_blocks(bits, mask, static_cast<std::uint64_t>(begin / 8), (end - begin + 7) / 8);
#if defined(STOFM_VECTOR_KERNELS)
    if constexpr (std::same_as<T, float>)
      if (const CpuKernels level = cpu_kernels(); level != CpuKernels::generic)
        return STOFM_AT_LEVEL(level, apply_dropout(y + begin, x + begin, bits, end - begin, factor));
#endif
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i - begin;
      y[i] = ((bits[at / 8] >> (at % 8)) & 1U) != 0 ? x[i] * factor : T(0);
    }
  });
}

STOFM_KERNEL_INSTANCES(dropout)

}  // namespace stofm::backend
