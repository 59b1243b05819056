// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of rows z = x (+ residual): y = (z - mean) / sqrt(var + eps) * gamma + beta, variance
/// with divisor N. Gradient, with h = (z - mean) / sqrt(var + eps) and g = grad_y * gamma: grad_z = (g - mean
/// g - h mean(g h)) / sqrt(var + eps), grad_gamma = sum over rows of grad_y h, grad_beta = sum over rows of
/// grad_y.

#include "stofm/backend/cpu/layer_norm.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

namespace detail {
template <Computed T>
void check_layer_norm(const char* op, const TensorView<T>& y, const TensorView<const T>& x,
                      const TensorView<const T>& gamma, const TensorView<const T>& beta) {
  require_rank(op, "y", y, 2);
  require_same_shape(op, "y", y, "x", x);
  require_shape(op, "gamma", gamma, Shape{y.dim(1)}, "one per column");
  require_shape(op, "beta", beta, Shape{y.dim(1)}, "one per column");
  require_dense_rows(op, "y", y);
  require_dense_rows(op, "x", x);
  require_dense_rows(op, "gamma", gamma);
  require_dense_rows(op, "beta", beta);
}
}  // namespace detail

/// *Shapes* y, x: [M, N] with dense rows, gamma, beta: [N]; y may be x. A row with a NaN becomes NaN.
/// \throws ShapeError. *Cost* O(M N). *Deterministic* yes.
template <Computed T>
void layer_norm_into(TensorView<T> y, Input<T> x, Input<T> gamma, Input<T> beta, double eps) {
  detail::check_layer_norm<T>("layer_norm", y, x, gamma, beta);
  backend::layer_norm(Cpu{}, y, x, TensorView<const T>{}, gamma.data, beta.data, eps);
}

/// Layer normalisation of x + residual: the end of a post-LN block in one pass. y may be x, not residual.
template <Computed T>
void add_layer_norm_into(TensorView<T> y, Input<T> x, Input<T> residual, Input<T> gamma, Input<T> beta,
                         double eps) {
  detail::check_layer_norm<T>("add_layer_norm", y, x, gamma, beta);
  detail::require_same_shape("add_layer_norm", "x", x, "residual", residual);
  detail::require_dense_rows("add_layer_norm", "residual", residual);
  backend::layer_norm(Cpu{}, y, x, residual, gamma.data, beta.data, eps);
}

template <Computed T>
Tensor<T> layer_norm(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta, double eps) {
  Tensor<T> y(x.shape());
  layer_norm_into(y.view(), x.view(), gamma.view(), beta.view(), eps);
  return y;
}

template <Computed T>
Tensor<T> add_layer_norm(const Tensor<T>& x, const Tensor<T>& residual, const Tensor<T>& gamma,
                         const Tensor<T>& beta, double eps) {
  Tensor<T> y(x.shape());
  add_layer_norm_into(y.view(), x.view(), residual.view(), gamma.view(), beta.view(), eps);
  return y;
}

/// *Shapes* grad_z, grad_y, x, residual: [M, N] with dense rows, gamma, grad_gamma, grad_beta: [N].
/// `residual`, `grad_gamma`, `grad_beta` may be views without data; the last two are added to. grad_z may be
/// grad_y. Sums in double. \throws ShapeError. *Cost* O(M N), 16 N bytes for every 64 rows. *Deterministic*
/// yes, for any number of threads.
template <Computed T>
void layer_norm_gradient_into(TensorView<T> grad_z, TensorView<T> grad_gamma, TensorView<T> grad_beta,
                              Input<T> grad_y, Input<T> x, Input<T> residual, Input<T> gamma, double eps) {
  const char* op = "layer_norm_gradient";
  detail::require_rank(op, "x", x, 2);
  const Shape columns{x.dim(1)};
  auto check_rows = [&](const char* name, const auto& rows) {
    detail::require_same_shape(op, name, rows, "x", x);
    detail::require_dense_rows(op, name, rows);
  };
  auto check_row = [&](const char* name, const auto& row) {
    detail::require_shape(op, name, row, columns, "one per column");
    detail::require_dense_rows(op, name, row);
  };
  check_rows("grad_z", grad_z);
  check_rows("grad_y", grad_y);
  check_rows("x", x);
  if (residual.data != nullptr) check_rows("residual", residual);
  check_row("gamma", gamma);
  if (grad_gamma.data != nullptr) check_row("grad_gamma", grad_gamma);
  if (grad_beta.data != nullptr) check_row("grad_beta", grad_beta);
  backend::layer_norm_gradient(Cpu{}, grad_z, grad_gamma.data, grad_beta.data, grad_y, x, residual,
                               gamma.data, eps);
}

}  // namespace stofm::ops
