// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of the layer normalisation of one row (see ../layer_norm_gradient.hpp for the formula).

#include "stofm/backend/cpu/vector/layer_norm.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/layer_norm_gradient.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
