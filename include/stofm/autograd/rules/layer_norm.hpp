// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of rows, differentiable. With h = (z - mean) / sqrt(var + eps), g = grad_y * gamma, N
/// columns: grad_z = (g - mean g - h mean(g h)) / sqrt(var + eps), grad_gamma = sum over rows of grad_y h,
/// grad_beta = of grad_y.

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/layer_norm.hpp"

namespace stofm::autograd {

/// Normalisation of x + residual, the end of a post-LN block. *Shapes* x, residual: [M, N], gamma, beta: [N];
/// `residual` may be absent. *Saved* x, residual, gamma: the statistics are computed again. \throws
/// ShapeError. *Cost* O(M N). *Deterministic* yes.
template <ops::Computed T>
Variable<T> add_layer_norm(const Variable<T>& x, const Variable<T>& residual, const Variable<T>& gamma,
                           const Variable<T>& beta, double eps) {
  const Tensor<T> rows = detail::with_dense_rows(x.value()), factor = gamma.value().contiguous();
  const Tensor<T> other = residual.absent() ? Tensor<T>() : detail::with_dense_rows(residual.value());
  const bool with_residual = !residual.absent();
  const Tensor<T> shift = beta.value().contiguous();
  Tensor<T> y = with_residual ? ops::add_layer_norm(rows, other, factor, shift, eps)
                              : ops::layer_norm(rows, factor, shift, eps);
  return record<T>("layer_norm", std::move(y), {x, residual, gamma, beta},
                   [rows, other, factor, eps, with_residual](const Tensor<T>& grad_y, Gradients<T>& into) {
                     Tensor<T> grad_z(rows.shape());
                     ops::layer_norm_gradient_into<T>(
                         grad_z.view(), into.wanted(2) ? into.accumulator(2).view() : TensorView<T>{},
                         into.wanted(3) ? into.accumulator(3).view() : TensorView<T>{}, grad_y.view(),
                         rows.view(), with_residual ? other.view() : TensorView<const T>{}, factor.view(),
                         eps);
                     if (with_residual && into.wanted(0) && into.wanted(1)) {
                       into.add(0, grad_z);
                       into.add(1, grad_z);
                     } else {
                       into.add_owned(into.wanted(0) ? 0 : 1, std::move(grad_z));
                     }
                   });
}

/// Normalisation of x: [M, N].
template <ops::Computed T>
Variable<T> layer_norm(const Variable<T>& x, const Variable<T>& gamma, const Variable<T>& beta, double eps) {
  return add_layer_norm(x, Variable<T>(), gamma, beta, eps);
}

}  // namespace stofm::autograd
