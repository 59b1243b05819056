// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums and means, differentiable: the gradient of a sum is spread over what was summed. All sums run in
/// double, in index order.

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/reduce.hpp"

namespace stofm::autograd {

namespace detail {
/// factor * (sum of all elements), a value without dimensions.
template <ops::Computed T>
Variable<T> scaled_sum(const char* op, const Variable<T>& x, double factor) {
  const Tensor<T> dense = x.value().contiguous();
  double sum = 0;
  for (const T& value : dense.span()) sum += static_cast<double>(value);
  return record<T>(
      op, Tensor<T>::full(Shape{}, static_cast<T>(sum * factor)), {x},
      [shape = x.shape(), factor](const Tensor<T>& grad_y, Gradients<T>& into) {
        into.add_owned(0,
                       Tensor<T>::full(shape, static_cast<T>(static_cast<double>(*grad_y.data()) * factor)));
      });
}
}  // namespace detail

/// The sum of all elements, shape []; of nothing: 0. *Cost* O(elements). *Deterministic* yes.
template <ops::Computed T>
Variable<T> sum(const Variable<T>& x) {
  return detail::scaled_sum("sum", x, 1.0);
}

/// The mean of all elements, shape []. \throws UsageError STOFM-1421 for no elements: decide what that means
/// first.
template <ops::Computed T>
Variable<T> mean(const Variable<T>& x) {
  if (x.value().empty())
    throw UsageError({"STOFM-1421", "", "[mean]", concat("no elements, shape ", to_string(x.shape())),
                      "at least one element", "Skip empty batches, or use sum."});
  return detail::scaled_sum("mean", x, 1.0 / static_cast<double>(x.value().numel()));
}

/// The sum of each row. *Shapes* x: [M, N], any strides; result [M].
template <ops::Computed T>
Variable<T> row_sums(const Variable<T>& x) {
  return record<T>("row_sums", ops::row_sums(x.value()), {x},
                   [shape = x.shape()](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (!into.wanted(0)) return;
                     Tensor<T> grad_x(shape);
                     for (std::int64_t i = 0; i < shape[0]; ++i)
                       std::fill_n(grad_x.view().row(i), shape[1], grad_y.data()[i]);
                     into.add_owned(0, std::move(grad_x));
                   });
}

}  // namespace stofm::autograd
