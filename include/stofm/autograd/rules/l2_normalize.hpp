// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows scaled to length 1, differentiable: grad_x = (grad_y - y <grad_y, y>) / ||x||, and 0 for a row of
/// zeros.

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/l2_normalize.hpp"

namespace stofm::autograd {

/// *Shapes* x: [M, N]; result the same. *Saved* x. \throws ShapeError. *Cost* O(M N). *Deterministic* yes.
template <ops::Computed T>
Variable<T> l2_normalize_rows(const Variable<T>& x) {
  const Tensor<T> rows = detail::with_dense_rows(x.value());
  return record<T>("l2_normalize_rows", ops::l2_normalize_rows(rows), {x},
                   [rows](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (into.wanted(0)) into.add_owned(0, ops::l2_normalize_rows_gradient(grad_y, rows));
                   });
}

}  // namespace stofm::autograd
