// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of the activation functions: grad_x = grad_y * activation'(x). relu'(x) = 1 for x > 0 and 0 for x
/// <= 0; gelu'(x) = Phi(x) + x phi(x), Phi and phi the distribution and density of the standard normal.

#include "stofm/backend/cpu/activation_gradient.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

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
