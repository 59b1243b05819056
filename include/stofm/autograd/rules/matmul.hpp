// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// y = a b, differentiable: grad_a = grad_y b^T, grad_b = a^T grad_y.

#include "stofm/autograd/tape.hpp"
#include "stofm/ops/matmul.hpp"

namespace stofm::autograd {

/// *Shapes* a: [M, K], b: [K, N], any strides; result [M, N]. *Saved* a, b. \throws ShapeError. *Cost* 2 M N
/// K forward, twice that backward.
template <ops::Computed T>
Variable<T> matmul(const Variable<T>& a, const Variable<T>& b) {
  return record<T>("matmul", ops::matmul(a.value(), b.value()), {a, b},
                   [a = a.value(), b = b.value()](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (into.wanted(0)) into.add_owned(0, ops::matmul(grad_y, b.transpose(0, 1)));
                     if (into.wanted(1)) into.add_owned(1, ops::matmul(a.transpose(0, 1), grad_y));
                   });
}

}  // namespace stofm::autograd
