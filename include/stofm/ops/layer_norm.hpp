// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of rows: y = (z - mean) / sqrt(var + eps) * gamma + beta, variance with divisor N.

#include "stofm/backend/cpu/layer_norm.hpp"
#include "stofm/backend/cuda/layer_norm.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

namespace detail {
template <Computed T, DeviceTag D>
void check_layer_norm(const char* op, const TensorView<T, D>& y, const TensorView<const T, D>& x,
                      const TensorView<const T, D>& gamma, const TensorView<const T, D>& beta) {
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
template <Computed T, DeviceTag D>
void layer_norm_into(TensorView<T, D> y, Input<T, D> x, Input<T, D> gamma, Input<T, D> beta, double eps) {
  detail::check_layer_norm<T, D>("layer_norm", y, x, gamma, beta);
  backend::layer_norm(y.device, y, x, TensorView<const T, D>{}, gamma.data, beta.data, eps);
}

/// Layer normalisation of x + residual: the end of a post-LN block in one pass. y may be x, not residual.
template <Computed T, DeviceTag D>
void add_layer_norm_into(TensorView<T, D> y, Input<T, D> x, Input<T, D> residual, Input<T, D> gamma,
                         Input<T, D> beta, double eps) {
  detail::check_layer_norm<T, D>("add_layer_norm", y, x, gamma, beta);
  detail::require_same_shape("add_layer_norm", "x", x, "residual", residual);
  detail::require_dense_rows("add_layer_norm", "residual", residual);
  backend::layer_norm(y.device, y, x, residual, gamma.data, beta.data, eps);
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

}  // namespace stofm::ops
