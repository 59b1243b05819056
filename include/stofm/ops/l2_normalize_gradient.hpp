// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of rows scaled to Euclidean length 1: grad_x = (grad_y - h <grad_y, h>) / ||x|| with h = x /
/// ||x||.

#include <cmath>

#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// *Shapes* grad_y, x: [M, N] with dense rows. A row of zeros has gradient 0. Sums in double. \throws
/// ShapeError. *Cost* O(M N). *Deterministic* yes.
template <Computed T>
Tensor<T> l2_normalize_rows_gradient(const Tensor<T>& grad_y, const Tensor<T>& x) {
  const char* op = "l2_normalize_rows_gradient";
  detail::require_rank(op, "x", x.view(), 2);
  detail::require_same_shape(op, "grad_y", grad_y.view(), "x", x.view());
  detail::require_dense_rows(op, "grad_y", grad_y.view());
  detail::require_dense_rows(op, "x", x.view());
  Tensor<T> grad_x(x.shape());
  const auto out = grad_x.view();
  const auto grad = grad_y.view(), in = x.view();
  parallel_for(out.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double squares = 0, product = 0;
      for (std::int64_t j = 0; j < out.dim(1); ++j) {
        const double v = static_cast<double>(in.row(i)[j]);
        squares += v * v;
        product += v * static_cast<double>(grad.row(i)[j]);
      }
      const double factor = squares == 0 ? 0.0 : 1.0 / std::sqrt(squares);
      const double along = product * factor * factor;
      for (std::int64_t j = 0; j < out.dim(1); ++j)
        out.row(i)[j] = static_cast<T>(
            factor * (static_cast<double>(grad.row(i)[j]) - static_cast<double>(in.row(i)[j]) * along));
    }
  });
  return grad_x;
}

}  // namespace stofm::ops
