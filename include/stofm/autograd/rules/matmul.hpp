// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// y = a b, differentiable: grad_a = grad_y b^T, grad_b = a^T grad_y.

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/linear_gradient.hpp"

namespace stofm::autograd {

/// *Shapes* a: [M, K], b: [K, N], any strides (dense rows need no copy); result [M, N]. *Saved* a, b. \throws
/// ShapeError. *Cost* 2 M N K forward, twice that backward. *Deterministic* yes, for any number of threads.
template <ops::Computed T>
Variable<T> matmul(const Variable<T>& a, const Variable<T>& b) {
  ops::detail::require_rank("matmul", "a", a.value().view(), 2);
  ops::detail::require_rank("matmul", "b", b.value().view(), 2);
  const Tensor<T> left = detail::with_dense_rows(a.value()), right = detail::with_dense_rows(b.value());
  Tensor<T> y(Shape{left.dim(0), right.dim(1)});
  ops::product_into<T>(y.view(), left.view(), right.view());
  return record<T>(
      "matmul", std::move(y), {a, b}, [left, right](const Tensor<T>& grad_y, Gradients<T>& into) {
        if (into.wanted(0)) into.add_owned(0, ops::linear(grad_y, right));
        if (into.wanted(1))
          ops::add_transposed_product_into<T>(into.accumulator(1).view(), left.view(), grad_y.view());
      });
}

}  // namespace stofm::autograd
