// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of the layer normalisation of rows z = x (+ residual). With h = (z - mean) / sqrt(var + eps) and
/// g = grad_y * gamma: grad_z = (g - mean g - h mean(g h)) / sqrt(var + eps), grad_gamma = sum over rows of
/// grad_y h, grad_beta = sum over rows of grad_y.

#include "stofm/backend/cpu/layer_norm_gradient.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// *Shapes* grad_z, grad_y, x, residual: [M, N] with dense rows, gamma, grad_gamma, grad_beta: [N].
/// `residual`, `grad_gamma`, `grad_beta` may be views without data; the last two are added to. grad_z may be
/// grad_y. Sums in double. \throws ShapeError. *Cost* O(M N), 16 N bytes for every 64 rows. *Deterministic*
/// yes, for any number of threads.
template <Computed T>
void layer_norm_gradient_into(TensorView<T> grad_z, TensorView<T> grad_gamma, TensorView<T> grad_beta,
                              Input<T> grad_y, Input<T> x, Input<T> residual, Input<T> gamma, double eps) {
  const char* op = "layer_norm_gradient";
  detail::require_rank(op, "x", x, 2);
  const Shape columns{x.dim(1)};
  auto check_rows = [&](const char* name, const auto& rows) {
    detail::require_same_shape(op, name, rows, "x", x);
    detail::require_dense_rows(op, name, rows);
  };
  auto check_row = [&](const char* name, const auto& row) {
    detail::require_shape(op, name, row, columns, "one per column");
    detail::require_dense_rows(op, name, row);
  };
  check_rows("grad_z", grad_z);
  check_rows("grad_y", grad_y);
  check_rows("x", x);
  if (residual.data != nullptr) check_rows("residual", residual);
  check_row("gamma", gamma);
  if (grad_gamma.data != nullptr) check_row("grad_gamma", grad_gamma);
  if (grad_beta.data != nullptr) check_row("grad_beta", grad_beta);
  backend::layer_norm_gradient(Cpu{}, grad_z, grad_gamma.data, grad_beta.data, grad_y, x, residual,
                               gamma.data, eps);
}

}  // namespace stofm::ops
