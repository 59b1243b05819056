// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Packing operands as words of bfloat16, and the linear layer on them: what vector/linear.hpp is for
/// float32.

#include "stofm/backend/cpu/bfloat16/forms.hpp"
#include "stofm/backend/cpu/bfloat16/tiles.hpp"
#include "stofm/backend/cpu/vector/linear.hpp"

#if defined(STOFM_X86_KERNELS)
STOFM_KERNELS_BEGIN
#define STOFM_KERNEL STOFM_TARGET_AVX512_BFLOAT16
#define STOFM_KERNEL_INLINE STOFM_INLINE_AVX512_BFLOAT16
namespace stofm::backend::avx512_bfloat16 {
#include "stofm/backend/cpu/vector/product_tile.inc"
}  // namespace stofm::backend::avx512_bfloat16
#undef STOFM_KERNEL
#undef STOFM_KERNEL_INLINE
STOFM_KERNELS_END
#endif

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/bfloat16/products.inc"
#include "stofm/backend/cpu/bfloat16/each_form.inc"
