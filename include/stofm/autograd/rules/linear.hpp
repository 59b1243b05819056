// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// y = x W^T + b, differentiable: grad_x = grad_y W, grad_W = grad_y^T x, grad_b = sum over rows of grad_y.

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/column_sums.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/linear_gradient.hpp"

namespace stofm::autograd {

/// *Shapes* x: [M, K], w: [N, K], b: [N] or absent; result [M, N]. *Saved* x, w. \throws ShapeError.
/// *Cost* 2 M N K forward, twice that backward.
template <ops::Computed T>
Variable<T> linear(const Variable<T>& x, const Variable<T>& w, const Variable<T>& b = {}) {
  const Tensor<T> rows = detail::with_dense_rows(x.value()), weight = detail::with_dense_rows(w.value());
  Tensor<T> y = ops::linear(rows, weight, b.absent() ? Tensor<T>() : b.value().contiguous());
  return record<T>(
      "linear", std::move(y), {x, w, b}, [rows, weight](const Tensor<T>& grad_y, Gradients<T>& into) {
        if (into.wanted(0)) {
          Tensor<T> grad_x(rows.shape());
          ops::product_into<T>(grad_x.view(), grad_y.view(), weight.view());
          into.add_owned(0, std::move(grad_x));
        }
        if (into.wanted(1))
          ops::add_transposed_product_into<T>(into.accumulator(1).view(), grad_y.view(), rows.view());
        if (into.wanted(2)) ops::add_column_sums_into<T>(into.accumulator(2).view(), grad_y.view());
      });
}

}  // namespace stofm::autograd
