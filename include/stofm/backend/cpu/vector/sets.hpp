// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The sets of vector instructions that kernels are compiled for, and the choice between them. README.md of
/// this folder says how a kernel is written.

#include <type_traits>

#include "stofm/backend/cpu/vector/avx2.hpp"
#include "stofm/backend/cpu/vector/avx512.hpp"
#include "stofm/backend/cpu/vector/neon.hpp"
#include "stofm/core/cpu_features.hpp"

/// A function (or constant) of the kernels, of the set that a level other than generic uses:
/// STOFM_AT_LEVEL(level, layer_norm_row(y, x, ...)). The AMX level has products of its own and else those of
/// AVX-512.
#if defined(STOFM_X86_KERNELS)
#define STOFM_AT_LEVEL(level, ...)                                            \
  ((level) == ::stofm::CpuKernels::avx2 ? ::stofm::backend::avx2::__VA_ARGS__ \
                                        : ::stofm::backend::avx512::__VA_ARGS__)
#elif defined(STOFM_NEON_KERNELS)
#define STOFM_AT_LEVEL(level, ...) (static_cast<void>(level), ::stofm::backend::neon::__VA_ARGS__)
#endif

/// Returns what the kernel of the level returns, for floats on a level other than generic. The second form is
/// of kernels that AMX has too.
#if defined(STOFM_VECTOR_KERNELS)
#define STOFM_RETURN_KERNEL(T, level, ...)                                                  \
  if constexpr (std::is_same_v<T, float>) {                                                 \
    if ((level) != ::stofm::CpuKernels::generic) return STOFM_AT_LEVEL(level, __VA_ARGS__); \
  }
#else
#define STOFM_RETURN_KERNEL(T, level, ...)
#endif
#if defined(STOFM_X86_KERNELS)
#define STOFM_RETURN_TILE_KERNEL(T, level, ...)                                         \
  if constexpr (std::is_same_v<T, float>) {                                             \
    if ((level) == ::stofm::CpuKernels::amx) return ::stofm::backend::amx::__VA_ARGS__; \
  }                                                                                     \
  STOFM_RETURN_KERNEL(T, level, __VA_ARGS__)
#else
#define STOFM_RETURN_TILE_KERNEL(T, level, ...) STOFM_RETURN_KERNEL(T, level, __VA_ARGS__)
#endif
