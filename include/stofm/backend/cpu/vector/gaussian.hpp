// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// float32 kernels of the Gaussian network's training: Gaussians of many points, their gradients, the
/// gradients around its ReLU, and a transpose. Formulas: backend/cpu/gaussian.hpp.

#include <bit>

#include "stofm/backend/cpu/vector/math.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/gaussian.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
