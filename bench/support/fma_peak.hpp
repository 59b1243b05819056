// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What one thread of this machine can do at most: fused multiply-adds that touch registers alone. Beside it
/// a benchmark says which share of the machine its products reach.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <ctime>

#include "stofm/backend/cpu/vector/sets.hpp"

#if defined(STOFM_VECTOR_KERNELS)
// Independent sums: enough to cover the latency of both FMA ports, few enough for the registers.
namespace stofm::backend {
#if defined(STOFM_X86_KERNELS)
namespace avx512 {
inline constexpr int fma_chains = 12;  // of one register
}
namespace avx2 {
inline constexpr int fma_chains = 6;  // of two
}
#else
namespace neon {
inline constexpr int fma_chains = 5;  // of four
}
#endif
}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "bench/support/fma_peak.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
#endif

namespace stofm::bench {

/// Billions of float32 operations a second of processor time of one thread, the best of a few tries; 0 for
/// the generic level. AMX has float32 sums of its own, of bfloat16 parts: its figure is that of AVX-512.
inline double fma_peak([[maybe_unused]] CpuKernels level) {
  double best = 0;
#if defined(STOFM_VECTOR_KERNELS)
  if (level == CpuKernels::generic) return 0;
  constexpr std::int64_t rounds = 4'000'000;
  const double operations = 2.0 * 16 * static_cast<double>(rounds) * STOFM_AT_LEVEL(level, fma_chains);
  for (int attempt = 0; attempt < 7; ++attempt) {
    float factor = 0.5F;
    benchmark::DoNotOptimize(factor);
    const std::clock_t begin = std::clock();
    benchmark::DoNotOptimize(STOFM_AT_LEVEL(level, fma_chain_rounds(rounds, factor)));
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    if (seconds > 0) best = (std::max)(best, operations / seconds * 1e-9);
  }
#endif
  return best;
}

}  // namespace stofm::bench
