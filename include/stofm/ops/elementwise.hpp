// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Elementwise arithmetic: sum, difference, product, multiple, and a row added to every row.

#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

namespace detail {
/// y_ij = f(a_ij, b_ij); rows of at least one cache line per chunk.
template <Computed T, class Function>
void for_each_pair(const char* op, TensorView<T> y, TensorView<const T> a, TensorView<const T> b,
                   Function f) {
  require_same_shape(op, "y", y, "a", a);
  require_same_shape(op, "a", a, "b", b);
  if (y.numel() == 0) return;
  const auto out = as_matrix(op, "y", y);
  const auto left = as_matrix(op, "a", a), right = as_matrix(op, "b", b);
  parallel_for(out.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < out.dim(1); ++j) out.row(i)[j] = f(left.row(i)[j], right.row(i)[j]);
  });
}
}  // namespace detail

/// y = a + b. *Shapes* all equal: matrices with dense rows, or any dense tensors; y may be a or b.
/// \throws ShapeError. *Cost* O(elements). *Deterministic* yes. The same holds for the others.
template <Computed T>
void add_into(TensorView<T> y, Input<T> a, Input<T> b) {
  detail::for_each_pair<T>("add", y, a, b, [](T p, T q) { return p + q; });
}
/// y = a - b.
template <Computed T>
void sub_into(TensorView<T> y, Input<T> a, Input<T> b) {
  detail::for_each_pair<T>("sub", y, a, b, [](T p, T q) { return p - q; });
}
/// y = a * b, element by element.
template <Computed T>
void mul_into(TensorView<T> y, Input<T> a, Input<T> b) {
  detail::for_each_pair<T>("mul", y, a, b, [](T p, T q) { return p * q; });
}
/// y = factor * a.
template <Computed T>
void scale_into(TensorView<T> y, Input<T> a, std::type_identity_t<T> factor) {
  detail::for_each_pair<T>("scale", y, a, a, [factor](T p, T) { return p * factor; });
}
/// y[i, j] = a[i, j] + row[j]. *Shapes* y, a: [M, N], row: [N].
template <Computed T>
void add_row_into(TensorView<T> y, Input<T> a, Input<T> row) {
  detail::require_rank("add_row", "a", a, 2);
  detail::require_shape("add_row", "row", row, Shape{a.dim(1)}, "one per column");
  detail::require_dense_rows("add_row", "row", row);
  TensorView<const T> rows{row.data, a.shape, {0, 1}, row.device};
  detail::for_each_pair<T>("add_row", y, a, rows, [](T p, T q) { return p + q; });
}

template <Computed T>
Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y(a.shape());
  add_into(y.view(), a.view(), b.view());
  return y;
}
template <Computed T>
Tensor<T> sub(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y(a.shape());
  sub_into(y.view(), a.view(), b.view());
  return y;
}
template <Computed T>
Tensor<T> mul(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y(a.shape());
  mul_into(y.view(), a.view(), b.view());
  return y;
}
template <Computed T>
Tensor<T> scale(const Tensor<T>& a, std::type_identity_t<T> factor) {
  Tensor<T> y(a.shape());
  scale_into(y.view(), a.view(), factor);
  return y;
}

}  // namespace stofm::ops
