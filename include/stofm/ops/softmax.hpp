// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax over the last dimension, y_j = exp(x_j - max x) / sum_k exp(x_k - max x), its logarithm, and the
/// gradients of both.

#include <algorithm>
#include <cmath>
#include <limits>

#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// *Shapes* y, x: equal, a matrix with dense rows or any dense tensor; y may be x. A row of -inf only gives
/// zeros; a NaN or +inf makes its row NaN. \throws ShapeError. *Cost* O(elements). *Deterministic* yes.
template <Computed T>
void softmax_into(TensorView<T> y, Input<T> x) {
  detail::require_same_shape("softmax", "y", y, "x", x);
  if (y.numel() == 0) return;
  backend::softmax(Cpu{}, detail::as_matrix("softmax", "y", y), detail::as_matrix("softmax", "x", x));
}

template <Computed T>
Tensor<T> softmax(const Tensor<T>& x) {
  Tensor<T> y(x.shape());
  const Tensor<T> dense = x.contiguous();
  softmax_into(y.view(), dense.view());
  return y;
}

/// y_j = x_j - log sum_k exp x_k. *Shapes* any; a row of -inf only stays -inf, a NaN or +inf makes its row
/// NaN. *Cost* O(elements). *Deterministic* yes.
template <Computed T>
Tensor<T> log_softmax(const Tensor<T>& x) {
  Tensor<T> y(x.shape());
  if (y.numel() == 0) return y;
  const Tensor<T> dense = x.contiguous();
  const auto in = detail::as_matrix("log_softmax", "x", dense.view());
  const auto out = detail::as_matrix("log_softmax", "y", y.view());
  parallel_for(out.dim(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* const from = in.row(i);
      T* const row = out.row(i);
      std::copy_n(from, out.dim(1), row);
      const auto [largest, sum] = backend::exponentiate(row, out.dim(1));
      const T shift = sum == 0 ? T(0) : static_cast<T>(static_cast<double>(largest) + std::log(sum));
      for (std::int64_t j = 0; j < out.dim(1); ++j) row[j] = from[j] - shift;
    }
  });
  return y;
}

namespace detail {
/// grad_x_ij = f(grad_y_ij, y_ij, sum_j g(grad_y_ij, y_ij)), the sum in double.
template <Computed T, class Sum, class Function>
Tensor<T> row_gradient(const char* op, const Tensor<T>& grad_y, const Tensor<T>& y, Sum g, Function f) {
  require_same_shape(op, "grad_y", grad_y.view(), "y", y.view());
  Tensor<T> grad_x(y.shape());
  if (y.numel() == 0) return grad_x;
  const auto out = as_matrix(op, "grad_x", grad_x.view());
  const auto grad = as_matrix(op, "grad_y", grad_y.view()), value = as_matrix(op, "y", y.view());
  parallel_for(out.dim(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < out.dim(1); ++j) sum += g(grad.row(i)[j], value.row(i)[j]);
      for (std::int64_t j = 0; j < out.dim(1); ++j)
        out.row(i)[j] = static_cast<T>(f(grad.row(i)[j], value.row(i)[j], sum));
    }
  });
  return grad_x;
}
}  // namespace detail

/// grad_x_j = y_j (grad_y_j - sum_k grad_y_k y_k) for y = softmax(x). *Shapes* equal, dense. \throws
/// ShapeError.
template <Computed T>
Tensor<T> softmax_gradient(const Tensor<T>& grad_y, const Tensor<T>& y) {
  return detail::row_gradient<T>(
      "softmax_gradient", grad_y, y,
      [](T grad, T value) { return static_cast<double>(grad) * static_cast<double>(value); },
      [](T grad, T value, double sum) {
        return static_cast<double>(value) * (static_cast<double>(grad) - sum);
      });
}

/// grad_x_j = grad_y_j - exp(y_j) sum_k grad_y_k for y = log_softmax(x); 0 where y is -inf (masked). *Shapes*
/// equal, dense. \throws ShapeError.
template <Computed T>
Tensor<T> log_softmax_gradient(const Tensor<T>& grad_y, const Tensor<T>& y) {
  constexpr T masked = -std::numeric_limits<T>::infinity();
  return detail::row_gradient<T>(
      "log_softmax_gradient", grad_y, y,
      [](T grad, T value) { return value == masked ? 0.0 : static_cast<double>(grad); },
      [](T grad, T value, double sum) {
        return value == masked ? 0.0 : static_cast<double>(grad) - std::exp(static_cast<double>(value)) * sum;
      });
}

}  // namespace stofm::ops
