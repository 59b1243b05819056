// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// y = x W^T + b, differentiable: grad_x = grad_y W, grad_W = grad_y^T x, grad_b = sum over rows of grad_y.

#include "stofm/autograd/tape.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/matmul.hpp"

namespace stofm::autograd {

/// *Shapes* x: [M, K], w: [N, K], b: [N] or absent; result [M, N]. *Saved* x, w. \throws ShapeError.
/// *Cost* 2 M N K forward, twice that backward.
template <ops::Computed T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& w, const Variable<T>& b = {}) {
  Tensor<T> y = ops::linear(x.value(), w.value(), b.absent() ? Tensor<T>() : b.value());
  return record<T>("linear", std::move(y), {x, w, b},
                   [x = x.value(), w = w.value()](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (into.wanted(0)) into.add_owned(0, ops::matmul(grad_y, w));
                     if (into.wanted(1)) into.add_owned(1, ops::matmul(grad_y.transpose(0, 1).contiguous(), x));
                     if (into.wanted(2)) {
                       Tensor<T>& sum = into.accumulator(2);
                       for (std::int64_t i = 0; i < grad_y.dim(0); ++i)
                         for (std::int64_t j = 0; j < grad_y.dim(1); ++j) sum(j) += grad_y(i, j);
                     }
                   });
}

}  // namespace stofm::autograd
