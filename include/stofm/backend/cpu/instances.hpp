// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Compiling the CPU kernels once. Normally every translation unit instantiates what it calls, and nothing
/// has to be linked. With `stofm::compiled` (core/compiled.hpp) the headers of this folder only declare their
/// entry points for float and double, and the library, made of `src/kernels/`, holds them: the vector kernels
/// are what takes long to compile. The code is the same both ways. An explicit instantiation that fits no
/// template is refused by the compiler, so the signatures here can not drift.

#if defined(STOFM_COMPILED)
#define STOFM_KERNEL_INSTANCE(...) extern template __VA_ARGS__;
#else
#define STOFM_KERNEL_INSTANCE(...)
#endif
