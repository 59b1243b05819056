// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradients of the linear layer y = x W^T + b: grad_x = grad_y W, grad_W = grad_y^T x (grad_b:
/// ops/column_sums.hpp). No operand is copied transposed: the kernels pack blocks of them in the order they
/// read. Accuracy as ops/linear.hpp.

#include "stofm/backend/cpu/linear_gradient.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// y = a b with both operands as they are stored. *Shapes* y: [M, N], a: [M, K], b: [K, N], dense rows, any
/// distance between rows. y must not overlap a or b. \throws ShapeError. *Cost* 2 M N K, one packed copy of b
/// on AVX-512 and AMX. *Deterministic* yes, for any number of threads. With a = grad_y and b = W it is the
/// gradient of x.
template <Computed T>
void product_into(TensorView<T> y, Input<T> a, Input<T> b) {
  const char* op = "product";
  detail::require_rank(op, "a", a, 2);
  detail::require_rank(op, "b", b, 2);
  if (a.dim(1) != b.dim(0))
    detail::refuse(op, concat("a ", to_string(a.shape), ", b ", to_string(b.shape)), "a [M, K] and b [K, N]");
  detail::require_shape(op, "y", y, Shape{a.dim(0), b.dim(1)}, "rows of a, columns of b");
  detail::require_dense_rows(op, "y", y);
  detail::require_dense_rows(op, "a", a);
  detail::require_dense_rows(op, "b", b);
  backend::product(Cpu{}, y, a, b);
}

/// sum += a^T b. *Shapes* sum: [P, Q], a: [M, P], b: [M, Q], dense rows. *Cost* 2 M P Q; scratch for 1024
/// rows of a and b. \throws ShapeError. *Deterministic* yes: 1024 rows at a time, in order, for any number of
/// threads. With a = grad_y and b = x it is the gradient of W.
template <Computed T>
void add_transposed_product_into(TensorView<T> sum, Input<T> a, Input<T> b) {
  const char* op = "add_transposed_product";
  detail::require_rank(op, "a", a, 2);
  detail::require_rank(op, "b", b, 2);
  if (a.dim(0) != b.dim(0))
    detail::refuse(op, concat("a ", to_string(a.shape), ", b ", to_string(b.shape)), "a [M, P] and b [M, Q]");
  detail::require_shape(op, "sum", sum, Shape{a.dim(1), b.dim(1)}, "columns of a, columns of b");
  detail::require_dense_rows(op, "sum", sum);
  detail::require_dense_rows(op, "a", a);
  detail::require_dense_rows(op, "b", b);
  backend::add_transposed_product(Cpu{}, sum, a, b);
}

}  // namespace stofm::ops
