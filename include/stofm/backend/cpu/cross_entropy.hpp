// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Cross entropy of one row on the CPU, with its gradient.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/softmax.hpp"

namespace stofm::backend {

/// weight * (log sum_j exp(row_j) - row_target) comes back, gradient = weight * (softmax(row) - one at
/// target). A logit of -inf counts as absent.
template <class T>
double cross_entropy_row(T* gradient, const T* row, std::int64_t n, std::int64_t target, double weight) {
  std::copy(row, row + n, gradient);
  const auto [largest, sum] = exponentiate(gradient, n, softmax_floor);
  multiply_row(gradient, n, static_cast<T>(weight / sum));
  gradient[target] -= static_cast<T>(weight);
  return weight * (std::log(sum) + static_cast<double>(largest) - static_cast<double>(row[target]));
}

STOFM_KERNEL_INSTANCES(cross_entropy_row)

}  // namespace stofm::backend
