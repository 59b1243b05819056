// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Keep bits of sixteen blocks of a DropoutMask (core/random_key.hpp) at once: 128 elements per call, the
/// same bits as `DropoutMask::block`.

#include "stofm/backend/cpu/vector/sets.hpp"
#include "stofm/core/random_key.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/dropout_mask.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
