// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Products of the gradient of a linear layer on the tiles of linear.hpp: right operands packed as they are
/// stored, left operands transposed into scratch.

#include "stofm/backend/cpu/vector/linear.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/linear_gradient.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
