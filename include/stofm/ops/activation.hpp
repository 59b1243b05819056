// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activation functions: identity, relu, and gelu in its exact form x (1 + erf(x / sqrt 2)) / 2.
/// Gradient: grad_x = grad_y * activation'(x), where relu'(x) = 1 for x > 0 and 0 for x <= 0; gelu'(x) =
/// Phi(x) + x phi(x), Phi and phi the distribution and density of the standard normal.
/// *Source* the configuration keys `activation_fn` and `hidden_act` of the published models.

#include "stofm/backend/cpu/activation.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

using stofm::Activation;

/// y = activation(x), element by element. *Shapes* y, x: equal, a matrix with dense rows or any dense tensor;
/// y may be x. NaN stays NaN. \throws ShapeError. *Cost* O(elements). *Deterministic* yes.
template <Computed T>
void activation_into(TensorView<T> y, Input<T> x, Activation activation) {
  detail::require_same_shape("activation", "y", y, "x", x);
  const auto out = detail::as_matrix("activation", "y", y);
  const auto in = detail::as_matrix("activation", "x", x);
  backend::activate_rows(Cpu{}, out, in, activation);
}

template <Computed T>
Tensor<T> activation(const Tensor<T>& x, Activation kind) {
  Tensor<T> y(x.shape());
  const Tensor<T> dense = x.rank() == 2 ? x : x.contiguous();
  activation_into(y.view(), dense.view(), kind);
  return y;
}

/// *Shapes* grad_x, grad_y, x: equal, matrices with dense rows or any dense tensors; grad_x may be grad_y or
/// x. A NaN in x or grad_y gives NaN. \throws ShapeError. *Cost* O(elements). *Deterministic* yes.
template <Computed T>
void activation_gradient_into(TensorView<T> grad_x, Input<T> grad_y, Input<T> x, Activation kind) {
  const char* op = "activation_gradient";
  detail::require_same_shape(op, "grad_x", grad_x, "grad_y", grad_y);
  detail::require_same_shape(op, "grad_y", grad_y, "x", x);
  if (grad_x.numel() == 0) return;
  const auto out = detail::as_matrix(op, "grad_x", grad_x);
  const auto grad = detail::as_matrix(op, "grad_y", grad_y), in = detail::as_matrix(op, "x", x);
  backend::activation_gradient(Cpu{}, out, grad, in, kind);
}

template <Computed T>
Tensor<T> activation_gradient(const Tensor<T>& grad_y, const Tensor<T>& x, Activation kind) {
  Tensor<T> grad_x(x.shape());
  activation_gradient_into(grad_x.view(), grad_y.view(), x.view(), kind);
  return grad_x;
}

}  // namespace stofm::ops
