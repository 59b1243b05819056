// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The sets of vector instructions that kernels are compiled for, and the choice between them. README.md of
/// this folder says how a kernel is written.

#include "stofm/backend/cpu/isa.hpp"
#include "stofm/backend/cpu/vector/avx2.hpp"
#include "stofm/backend/cpu/vector/avx512.hpp"
#include "stofm/backend/cpu/vector/neon.hpp"

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
