// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax over the last dimension: y_j = exp(x_j - max x) / sum_k exp(x_k - max x).

#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/backend/cuda/softmax.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// *Shapes* y, x: equal, a matrix with dense rows or any dense tensor; y may be x. A row of -inf only gives
/// zeros; a NaN or +inf makes its row NaN. \throws ShapeError. *Cost* O(elements). *Deterministic* yes.
template <Computed T, DeviceTag D>
void softmax_into(TensorView<T, D> y, Input<T, D> x) {
  detail::require_same_shape("softmax", "y", y, "x", x);
  if (y.numel() == 0) return;
  backend::softmax(y.device, detail::as_matrix("softmax", "y", y), detail::as_matrix("softmax", "x", x));
}

template <Computed T>
Tensor<T> softmax(const Tensor<T>& x) {
  Tensor<T> y(x.shape());
  const Tensor<T> dense = x.contiguous();
  softmax_into(y.view(), dense.view());
  return y;
}

}  // namespace stofm::ops
