// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Compiling the CPU kernels once. Normally every translation unit instantiates what it calls, and nothing has to
/// be linked. Where STOFM_KERNELS_ELSEWHERE is defined (this repository's program and tests: the vector kernels are
/// what takes long to compile), the headers of this folder only declare their entry points for float and double,
/// and a static library made of `tests/support/kernels/` holds them. The code is the same both ways.

#if defined(STOFM_KERNELS_ELSEWHERE)
#define STOFM_KERNEL_INSTANCE(...) extern template __VA_ARGS__;
#else
#define STOFM_KERNEL_INSTANCE(...)
#endif
