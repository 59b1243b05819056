// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows scaled to Euclidean length 1, h = x / ||x||. Gradient: grad_x = (grad_y - h <grad_y, h>) / ||x||.

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
