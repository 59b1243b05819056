// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Activation functions, differentiable: grad_x = grad_y * activation'(x).

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/activation.hpp"

namespace stofm::autograd {

/// activation(x), element by element. relu'(0) = 0; gelu'(x) = Phi(x) + x phi(x) with the normal distribution
/// Phi and its density phi. *Saved* x (nothing for identity). *Cost* O(elements). *Deterministic* yes.
template <ops::Computed T>
Variable<T> activation(const Variable<T>& x, ops::Activation kind) {
  if (kind == ops::Activation::identity) return x;
  const Tensor<T> input = detail::with_dense_rows(x.value());
  return record<T>("activation", ops::activation(input, kind), {x},
                   [input, kind](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (into.wanted(0)) into.add_owned(0, ops::activation_gradient(grad_y, input, kind));
                   });
}

/// max(x, 0).
template <ops::Computed T>
Variable<T> relu(const Variable<T>& x) {
  return activation(x, ops::Activation::relu);
}

/// x (1 + erf(x / sqrt 2)) / 2.
template <ops::Computed T>
Variable<T> gelu(const Variable<T>& x) {
  return activation(x, ops::Activation::gelu);
}

}  // namespace stofm::autograd
