// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Squares of floats added up in double, on vectors.

#include <cstdint>

#include "stofm/backend/cpu/vector/sets.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/sum_of_squares.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
