// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Functions of one number, element by element: exp, log, sqrt, tanh, sigmoid. Values outside of a function's
/// domain give what the standard library's gives (log 0 = -inf, log and sqrt of less: NaN); NaN stays NaN.

#include <cmath>

#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// f(x), dense, any layout of x. *Cost* O(elements). *Deterministic* yes, at any thread count.
template <Computed T, class Function>
Tensor<T> apply(const Tensor<T>& x, Function f) {
  const Tensor<T> dense = x.contiguous();
  detail::require_data("apply", "x", dense.view());
  Tensor<T> y(x.shape());
  const T* in = dense.data();
  T* out = y.data();
  parallel_for(y.numel(), 16384, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = f(in[i]);
  });
  return y;
}

template <Computed T>
Tensor<T> exp(const Tensor<T>& x) {
  return apply(x, [](T v) { return std::exp(v); });
}
/// Natural logarithm.
template <Computed T>
Tensor<T> log(const Tensor<T>& x) {
  return apply(x, [](T v) { return std::log(v); });
}
template <Computed T>
Tensor<T> sqrt(const Tensor<T>& x) {
  return apply(x, [](T v) { return std::sqrt(v); });
}
template <Computed T>
Tensor<T> tanh(const Tensor<T>& x) {
  return apply(x, [](T v) { return std::tanh(v); });
}
/// 1 / (1 + e^-x), without overflow at either end.
template <Computed T>
Tensor<T> sigmoid(const Tensor<T>& x) {
  return apply(x, [](T v) {
    const T e = std::exp(-std::abs(v));
    return (v < 0 ? e : T(1)) / (T(1) + e);
  });
}

}  // namespace stofm::ops
