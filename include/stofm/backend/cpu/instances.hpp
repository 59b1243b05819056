// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Compiling the CPU kernels once. Normally every translation unit instantiates what it calls, and nothing
/// has to be linked. With `stofm::compiled` (core/compiled.hpp) the headers of this folder only declare their
/// entry points for float and double, and the library, made of `src/kernels/`, holds them: the vector kernels
/// are what takes long to compile. The code is the same both ways. A header names its entry points once,
///     STOFM_KERNEL_INSTANCES(layer_norm)
/// and their types are asked from the templates, so that there is no second signature to keep.

#if defined(STOFM_COMPILED)
#define STOFM_KERNEL_INSTANCE(...) extern template decltype(__VA_ARGS__) __VA_ARGS__;
#else
#define STOFM_KERNEL_INSTANCE(...)
#endif
#define STOFM_KERNEL_INSTANCES(name) STOFM_KERNEL_INSTANCE(name<float>) STOFM_KERNEL_INSTANCE(name<double>)
