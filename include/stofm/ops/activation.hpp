// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activation functions: identity, relu, and gelu in its exact form x (1 + erf(x / sqrt 2)) / 2.
/// Source: the configuration keys `activation_fn` and `hidden_act` of the published models.

#include "stofm/backend/cpu/activation.hpp"
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

}  // namespace stofm::ops
