// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The CUDA runtime, or in tests its emulation on the host (tests/kernels/support/emulator.hpp, included
/// first). Kernels use what is in common/ for everything that is not plain C++, so that both compile them.

#if !defined(STOFM_KERNEL_EMULATOR)
#include <cuda_runtime.h>
#endif

/// `#pragma unroll` that host compilers, which see `__host__ __device__` functions too, don't warn of.
#if defined(__CUDA_ARCH__)
#define STOFM_UNROLL _Pragma("unroll")
#define STOFM_PRAGMA(text) _Pragma(#text)
#define STOFM_UNROLL_BY(times) STOFM_PRAGMA(unroll times)
#else
#define STOFM_UNROLL
#define STOFM_UNROLL_BY(times)
#endif

#include <cstddef>
#include <cstdint>

namespace stofm::kernels {
/// Threads of a warp; every block is a whole number of them.
inline constexpr int warp_size = 32;
/// The most dynamic shared memory a block may ask for on the architectures we compile for (bytes).
inline constexpr std::size_t shared_limit_sm80 = 163U * 1024U, shared_limit_sm90 = 227U * 1024U;
}  // namespace stofm::kernels
