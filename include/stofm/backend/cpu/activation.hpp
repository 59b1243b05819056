// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activation functions, one value at a time (the portable form).

#include <cmath>

#include "stofm/core/op_options.hpp"

namespace stofm::backend {

template <class T>
T activate(T x, Activation activation) {
  if (activation == Activation::relu) return x < T(0) ? T(0) : x;
  if (activation == Activation::gelu) return T(0.5) * x * (T(1) + std::erf(x * T(0.70710678118654752440)));
  return x;
}

}  // namespace stofm::backend
