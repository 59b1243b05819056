// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// exp, gelu and its derivative, and what follows a linear layer, on vectors.

#include <cstdint>
#include <limits>

#include "stofm/backend/cpu/vector/sets.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// Softmax weights below exp(-60) = 9e-27 of the largest count as zero: they can not change a float32 sum,
/// and their lower bfloat16 halves and products would be denormal, which is slow.
inline constexpr float softmax_floor = -60.0F;

}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/math.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
