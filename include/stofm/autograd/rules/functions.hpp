// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// exp, log, sqrt, tanh, sigmoid, differentiable, element by element; any shape and layout.

#include "stofm/autograd/tape.hpp"
#include "stofm/ops/broadcast.hpp"
#include "stofm/ops/functions.hpp"

namespace stofm::autograd {

namespace detail {
/// y = f(x) with grad_x = g(grad_y, saved), element by element.
template <ops::Computed T, class Gradient>
Variable<T> record_function(const char* op, const Variable<T>& x, Tensor<T> y, Tensor<T> saved, Gradient g) {
  return record<T>(op, std::move(y), {x},
                   [saved = std::move(saved), op, g](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (into.wanted(0)) into.add_owned(0, ops::broadcast(op, grad_y, saved, g));
                   });
}
}  // namespace detail

/// e^x: grad_x = grad_y y. *Saved* y. *Cost* O(elements). *Deterministic* yes. The same holds for the others.
template <ops::Computed T>
Variable<T> exp(const Variable<T>& x) {
  const Tensor<T> y = ops::exp(x.value());
  return detail::record_function("exp", x, y, y, [](T g, T v) { return g * v; });
}
/// Natural logarithm: grad_x = grad_y / x. *Saved* x.
template <ops::Computed T>
Variable<T> log(const Variable<T>& x) {
  return detail::record_function("log", x, ops::log(x.value()), x.value(), [](T g, T v) { return g / v; });
}
/// Square root: grad_x = grad_y / (2 y), infinite at 0. *Saved* y.
template <ops::Computed T>
Variable<T> sqrt(const Variable<T>& x) {
  const Tensor<T> y = ops::sqrt(x.value());
  return detail::record_function("sqrt", x, y, y, [](T g, T v) { return g / (2 * v); });
}
/// grad_x = grad_y (1 - y^2). *Saved* y.
template <ops::Computed T>
Variable<T> tanh(const Variable<T>& x) {
  const Tensor<T> y = ops::tanh(x.value());
  return detail::record_function("tanh", x, y, y, [](T g, T v) { return g * (1 - v * v); });
}
/// 1 / (1 + e^-x): grad_x = grad_y y (1 - y). *Saved* y.
template <ops::Computed T>
Variable<T> sigmoid(const Variable<T>& x) {
  const Tensor<T> y = ops::sigmoid(x.value());
  return detail::record_function("sigmoid", x, y, y, [](T g, T v) { return g * v * (1 - v); });
}

}  // namespace stofm::autograd
