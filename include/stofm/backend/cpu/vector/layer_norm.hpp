// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of one row and its gradient (formulas: ops/layer_norm.hpp): mean, then squares of
/// differences, in four sums of 16 lanes each.

#include <cmath>

#include "stofm/backend/cpu/vector/sets.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/layer_norm.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
