// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sum, difference, product and quotient of two tensors of any shapes that NumPy would broadcast; the
/// gradient of what was repeated is the sum over its copies. Where shapes are equal, add, sub and mul are
/// rules/elementwise.hpp.

#include "stofm/autograd/tape.hpp"
#include "stofm/ops/broadcast.hpp"
#include "stofm/ops/elementwise.hpp"

namespace stofm::autograd {

namespace detail {
// What rules/elementwise.hpp does where the shapes differ.
template <ops::Computed T>
Variable<T> broadcast_add(const Variable<T>& a, const Variable<T>& b) {
  Tensor<T> y = ops::broadcast("add", a.value(), b.value(), [](T p, T q) { return p + q; });
  return record<T>("add", std::move(y), {a, b},
                   [left = a.shape(), right = b.shape()](const Tensor<T>& grad_y, Gradients<T>& into) {
                     into.add(0, ops::sum_to(grad_y, left));
                     into.add(1, ops::sum_to(grad_y, right));
                   });
}

template <ops::Computed T>
Variable<T> broadcast_sub(const Variable<T>& a, const Variable<T>& b) {
  Tensor<T> y = ops::broadcast("sub", a.value(), b.value(), [](T p, T q) { return p - q; });
  return record<T>("sub", std::move(y), {a, b},
                   [left = a.shape(), right = b.shape()](const Tensor<T>& grad_y, Gradients<T>& into) {
                     into.add(0, ops::sum_to(grad_y, left));
                     if (into.wanted(1))
                       into.add_owned(1, ops::scale(ops::sum_to(grad_y, right).contiguous(), T(-1)));
                   });
}

template <ops::Computed T>
Variable<T> broadcast_mul(const Variable<T>& a, const Variable<T>& b) {
  const auto product = [](T p, T q) { return p * q; };
  const Tensor<T> left = a.value(), right = b.value();
  return record<T>("mul", ops::broadcast("mul", left, right, product), {a, b},
                   [left, right, product](const Tensor<T>& grad_y, Gradients<T>& into) {
                     constexpr const char* op = "mul";
                     if (into.wanted(0))
                       into.add(0, ops::sum_to(ops::broadcast(op, grad_y, right, product), left.shape()));
                     if (into.wanted(1))
                       into.add(1, ops::sum_to(ops::broadcast(op, grad_y, left, product), right.shape()));
                   });
}
}  // namespace detail

/// a / b, broadcast: grad_a = grad_y / b, grad_b = -grad_y y / b. *Saved* b, y.
/// \throws ShapeError STOFM-1108 for shapes that do not fit. *Cost* O(elements of the result).
/// *Deterministic* yes.
template <ops::Computed T>
Variable<T> div(const Variable<T>& a, const Variable<T>& b) {
  const Tensor<T> y = ops::div(a.value(), b.value()), right = b.value();
  return record<T>(
      "div", y, {a, b}, [y, right, left = a.shape()](const Tensor<T>& grad_y, Gradients<T>& into) {
        const Tensor<T> quotient = ops::div(grad_y, right);
        if (into.wanted(0)) into.add(0, ops::sum_to(quotient, left));
        if (into.wanted(1))
          into.add(1, ops::sum_to(ops::broadcast("div", quotient, y, [](T p, T q) { return -p * q; }),
                                  right.shape()));
      });
}

}  // namespace stofm::autograd
