// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activation functions and their derivatives on rows.

#include "stofm/backend/cpu/vector/math.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/activation.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
