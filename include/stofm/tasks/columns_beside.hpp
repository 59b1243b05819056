// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Features of two kinds of the same cells, side by side.

#include <algorithm>
#include <cstdint>

#include "stofm/core/error.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::tasks {

/// [N, A] and [N, B] -> [N, A + B]. \param op names the caller in messages; \param width A + B, if that is
/// known. \throws ShapeError (STOFM-4713) for another number of cells or columns. *Cost* one copy.
inline Tensor<float> columns_beside(const char* op, const Tensor<float>& left, const Tensor<float>& right,
                                    std::int64_t width = 0) {
  if (left.rank() != 2 || right.rank() != 2 || right.dim(0) != left.dim(0) ||
      (width > 0 && left.dim(1) + right.dim(1) != width))
    throw ShapeError({"STOFM-4713", "", op, to_string(right.shape()),
                      concat("the cells of ", to_string(left.shape()),
                             width > 0 ? concat(" and ", width, " columns in all") : std::string()),
                      "Give features of every cell."});
  const std::int64_t n = left.dim(0), a = left.dim(1), b = right.dim(1);
  const Tensor<float> first = left.contiguous(), second = right.contiguous();
  Tensor<float> both({n, a + b});
  for (std::int64_t i = 0; i < n; ++i) {
    std::copy_n(first.data() + i * a, a, both.data() + i * (a + b));
    std::copy_n(second.data() + i * b, b, both.data() + i * (a + b) + a);
  }
  return both;
}

}  // namespace stofm::tasks
