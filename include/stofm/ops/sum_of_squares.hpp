// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sum of the squares of a run of numbers, in double.

#include <span>

#include "stofm/backend/cpu/sum_of_squares.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// *Cost* O(N). *Deterministic* yes: floats have the same bits on every kernel level.
template <Computed T>
double sum_of_squares(std::span<const T> x) {
  return backend::sum_of_squares(x.data(), static_cast<std::int64_t>(x.size()));
}

}  // namespace stofm::ops
