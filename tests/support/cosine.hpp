// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How far the rows of two matrices point apart.

#include <algorithm>
#include <cmath>

#include "stofm/core/tensor.hpp"

namespace stofm::test {

/// The largest 1 - cosine between rows of a and b, [rows, width] both.
template <class T>
double worst_cosine_error(const Tensor<T>& a, const Tensor<T>& b) {
  double worst = 0;
  for (std::int64_t i = 0; i < a.dim(0); ++i) {
    double ab = 0, aa = 0, bb = 0;
    for (std::int64_t c = 0; c < a.dim(1); ++c) {
      const auto x = static_cast<double>(a(i, c)), y = static_cast<double>(b(i, c));
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    worst = (std::max)(worst, 1 - ab / std::sqrt(aa * bb));
  }
  return worst;
}

}  // namespace stofm::test
