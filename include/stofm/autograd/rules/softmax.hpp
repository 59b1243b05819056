// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax and its logarithm over the last dimension, differentiable.
/// softmax: grad_x_j = y_j (grad_y_j - sum_k grad_y_k y_k); log_softmax: grad_x_j = grad_y_j - exp(y_j) sum_k
/// grad_y_k.

#include "stofm/autograd/tape.hpp"
#include "stofm/ops/softmax.hpp"

namespace stofm::autograd {

/// *Shapes* x: any, softmax over the last dimension. A row of -inf only gives zeros and zero gradient.
/// *Saved* y. *Cost* O(elements). *Deterministic* yes.
template <ops::Computed T>
Variable<T> softmax(const Variable<T>& x) {
  const Tensor<T> y = ops::softmax(x.value());
  return record<T>("softmax", y, {x}, [y](const Tensor<T>& grad_y, Gradients<T>& into) {
    if (into.wanted(0)) into.add_owned(0, ops::softmax_gradient(grad_y, y));
  });
}

/// x_j - log sum_k exp x_k. As softmax; a row of -inf only stays -inf, with zero gradient.
template <ops::Computed T>
Variable<T> log_softmax(const Variable<T>& x) {
  const Tensor<T> y = ops::log_softmax(x.value());
  return record<T>("log_softmax", y, {x}, [y](const Tensor<T>& grad_y, Gradients<T>& into) {
    if (into.wanted(0)) into.add_owned(0, ops::log_softmax_gradient(grad_y, y));
  });
}

}  // namespace stofm::autograd
