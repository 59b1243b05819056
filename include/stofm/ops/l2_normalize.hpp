// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows scaled to Euclidean length 1.

#include <cmath>

#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// y_i = x_i / ||x_i||, a row of zeros stays zeros. *Shapes* y, x: [M, N] with dense rows; y may be x. The
/// norm is summed in double: no overflow for finite floats. A row with a NaN becomes NaN. \throws ShapeError.
/// *Cost* O(M N). *Source* the published encoder's torch.nn.functional.normalize; its floor of 1e-12 under
/// the norm is not needed.
template <Computed T>
void l2_normalize_rows_into(TensorView<T> y, Input<T> x) {
  detail::require_rank("l2_normalize_rows", "y", y, 2);
  detail::require_same_shape("l2_normalize_rows", "y", y, "x", x);
  detail::require_dense_rows("l2_normalize_rows", "y", y);
  detail::require_dense_rows("l2_normalize_rows", "x", x);
  parallel_for(y.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < y.dim(1); ++j) {
        const double v = static_cast<double>(x.row(i)[j]);
        sum += v * v;
      }
      const double factor = sum == 0 ? 0.0 : 1.0 / std::sqrt(sum);
      for (std::int64_t j = 0; j < y.dim(1); ++j)
        y.row(i)[j] = static_cast<T>(static_cast<double>(x.row(i)[j]) * factor);
    }
  });
}

template <Computed T>
Tensor<T> l2_normalize_rows(const Tensor<T>& x) {
  Tensor<T> y(x.shape());
  l2_normalize_rows_into(y.view(), x.view());
  return y;
}

}  // namespace stofm::ops
