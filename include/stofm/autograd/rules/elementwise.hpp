// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Elementwise arithmetic, differentiable: sum, difference, product, multiple, and a row added to every row.

#include "stofm/autograd/rules/broadcast.hpp"
#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/column_sums.hpp"
#include "stofm/ops/elementwise.hpp"

namespace stofm::autograd {

/// a + b. *Shapes* equal or broadcast as NumPy does, any layout; the same variable may stand on both sides.
/// grad_a = grad_b = grad_y, summed over what was repeated. \throws ShapeError. *Cost* O(elements).
/// *Deterministic* yes. The same holds for the others.
template <ops::Computed T>
Variable<T> add(const Variable<T>& a, const Variable<T>& b) {
  if (!(a.shape() == b.shape())) return detail::broadcast_add(a, b);
  Tensor<T> y = ops::add(detail::with_dense_rows(a.value()), detail::with_dense_rows(b.value()));
  return record<T>("add", std::move(y), {a, b}, [](const Tensor<T>& grad_y, Gradients<T>& into) {
    into.add(0, grad_y);
    into.add(1, grad_y);
  });
}

/// a - b: grad_a = grad_y, grad_b = -grad_y.
template <ops::Computed T>
Variable<T> sub(const Variable<T>& a, const Variable<T>& b) {
  if (!(a.shape() == b.shape())) return detail::broadcast_sub(a, b);
  Tensor<T> y = ops::sub(detail::with_dense_rows(a.value()), detail::with_dense_rows(b.value()));
  return record<T>("sub", std::move(y), {a, b}, [](const Tensor<T>& grad_y, Gradients<T>& into) {
    into.add(0, grad_y);
    if (into.wanted(1)) into.add_owned(1, ops::scale(grad_y, T(-1)));
  });
}

/// a * b, element by element: grad_a = grad_y * b, grad_b = grad_y * a. *Saved* a, b.
template <ops::Computed T>
Variable<T> mul(const Variable<T>& a, const Variable<T>& b) {
  if (!(a.shape() == b.shape())) return detail::broadcast_mul(a, b);
  const Tensor<T> left = detail::with_dense_rows(a.value()), right = detail::with_dense_rows(b.value());
  return record<T>("mul", ops::mul(left, right), {a, b},
                   [left, right](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (into.wanted(0)) into.add_owned(0, ops::mul(grad_y, right));
                     if (into.wanted(1)) into.add_owned(1, ops::mul(grad_y, left));
                   });
}

/// factor * x: grad_x = factor * grad_y.
template <ops::Computed T>
Variable<T> scale(const Variable<T>& x, std::type_identity_t<T> factor) {
  Tensor<T> y = ops::scale(detail::with_dense_rows(x.value()), factor);
  return record<T>("scale", std::move(y), {x}, [factor](const Tensor<T>& grad_y, Gradients<T>& into) {
    if (into.wanted(0)) into.add_owned(0, ops::scale(grad_y, factor));
  });
}

/// x[i, j] + row[j]. *Shapes* x: [M, N], row: [N]. grad_row = the sum of the rows of grad_y.
template <ops::Computed T>
Variable<T> add_row(const Variable<T>& x, const Variable<T>& row) {
  const Tensor<T> rows = detail::with_dense_rows(x.value()), one = row.value().contiguous();
  Tensor<T> y(rows.shape());
  ops::add_row_into<T>(y.view(), rows.view(), one.view());
  return record<T>("add_row", std::move(y), {x, row}, [](const Tensor<T>& grad_y, Gradients<T>& into) {
    into.add(0, grad_y);
    if (into.wanted(1)) ops::add_column_sums_into<T>(into.accumulator(1).view(), grad_y.view());
  });
}

}  // namespace stofm::autograd
