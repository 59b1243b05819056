// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// An AdamW step on vectors: the roundings of the plain loop (../adamw.hpp) in its order.

#include <cstdint>

#include "stofm/backend/cpu/vector/sets.hpp"

namespace stofm::backend {

/// The numbers of a step, rounded once to the type of the values.
template <class T>
struct AdamWStep {
  T keep = 1;             ///< 1 - rate * decay
  T gradient_factor = 1;  ///< on the gradients, before all else
  T one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0;
  T step_size = 0;        ///< rate / (1 - beta1^t)
  T root_correction = 1;  ///< sqrt(1 - beta2^t)
  T epsilon = 0;
};

}  // namespace stofm::backend

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/adamw.inc"
#include "stofm/backend/cpu/vector/each_set.inc"
