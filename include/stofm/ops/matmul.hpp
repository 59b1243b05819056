// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Matrix product y = a b.

#include "stofm/backend/cpu/linear.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// *Shapes* y: [M, N] with dense rows, a: [M, K], b: [K, N], any strides (a transposed view is fine: b with
/// dense columns is the cheap case, it needs no copy). y must not overlap. \throws ShapeError. *Cost* 2 M N
/// K, and a copy of a or b where its layout asks for it. *Deterministic* yes. Accuracy as ops/linear.hpp.
template <Computed T>
void matmul_into(TensorView<T> y, Input<T> a, Input<T> b, LinearOptions options = {}) {
  detail::require_rank("matmul", "a", a, 2);
  detail::require_rank("matmul", "b", b, 2);
  if (a.dim(1) != b.dim(0))
    detail::refuse("matmul", concat("a ", to_string(a.shape), ", b ", to_string(b.shape)),
                   "a [M, K] and b [K, N]");
  detail::require_rank("matmul", "y", y, 2);
  detail::require_shape("matmul", "y", y, Shape{a.dim(0), b.dim(1)}, "rows of a, columns of b");
  detail::require_dense_rows("matmul", "y", y);
  auto dense_rows = [](TensorView<const T> m, Tensor<T>& copy) {
    if (m.dim(1) <= 1 || m.stride(1) == 1) return m;
    copy = Tensor<T>(m.shape);
    for (std::int64_t i = 0; i < m.dim(0); ++i)
      for (std::int64_t j = 0; j < m.dim(1); ++j) copy.data()[i * m.dim(1) + j] = m.row(i)[j * m.stride(1)];
    return TensorView<const T>(copy.view());
  };
  Tensor<T> a_copy, b_copy;
  const TensorView<const T> b_transposed{
      b.data, Shape{b.dim(1), b.dim(0)}, {b.stride(1), b.stride(0)}, b.device};
  backend::linear(Cpu{}, y, dense_rows(a, a_copy), dense_rows(b_transposed, b_copy),
                  static_cast<const T*>(nullptr), options);
}

template <Computed T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b) {
  detail::require_rank("matmul", "a", a.view(), 2);
  detail::require_rank("matmul", "b", b.view(), 2);
  Tensor<T> y(Shape{a.dim(0), b.dim(1)});
  matmul_into(y.view(), a.view(), b.view());
  return y;
}

}  // namespace stofm::ops
