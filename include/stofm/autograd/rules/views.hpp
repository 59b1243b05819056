// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reshape, transpose, slice and concatenation, differentiable: the gradient takes the way back.

#include <span>
#include <vector>

#include "stofm/autograd/tape.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::autograd {

namespace detail {
/// f(to, from) for each pair of elements of tensors of one shape and any strides.
template <ops::Computed T, class Function>
void for_each_element(Tensor<T> to, Tensor<T> from, Function f) {
  if (to.numel() == 0) return;
  if (to.rank() > 2) {
    for (std::int64_t i = 0; i < to.dim(0); ++i) for_each_element<T>(to.select(0, i), from.select(0, i), f);
    return;
  }
  const std::int64_t rows = to.rank() == 2 ? to.dim(0) : 1,
                     columns = to.rank() == 0 ? 1 : to.dim(to.rank() - 1);
  const std::int64_t to_row = to.rank() == 2 ? to.stride(0) : 0, to_step = to.rank() == 0 ? 1 : to.stride(-1);
  const std::int64_t from_row = from.rank() == 2 ? from.stride(0) : 0,
                     from_step = to.rank() == 0 ? 1 : from.stride(-1);
  T* const target = to.data();
  const T* const source = from.data();
  parallel_for(rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < columns; ++j)
        f(target[i * to_row + j * to_step], source[i * from_row + j * from_step]);
  });
}
}  // namespace detail

/// The same elements under another shape; a copy only if x is a strided view. \throws ShapeError if the
/// counts differ.
template <ops::Computed T>
Variable<T> reshape(const Variable<T>& x, const Shape& shape) {
  return record<T>("reshape", x.value().contiguous().reshape(shape), {x},
                   [before = x.shape()](const Tensor<T>& grad_y, Gradients<T>& into) {
                     into.add(0, grad_y.reshape(before));
                   });
}

/// Two dimensions exchanged: a view, nothing is copied. \throws ShapeError for a dimension that x lacks.
template <ops::Computed T>
Variable<T> transpose(const Variable<T>& x, int a, int b) {
  return record<T>(
      "transpose", x.value().transpose(a, b), {x},
      [a, b](const Tensor<T>& grad_y, Gradients<T>& into) { into.add(0, grad_y.transpose(a, b)); });
}

/// Elements [begin, end) of one dimension of x: a view. The gradient of the others is 0; slices of one tensor
/// add into one gradient in place. \throws ShapeError for bounds outside x.
template <ops::Computed T>
Variable<T> slice(const Variable<T>& x, int dimension, std::int64_t begin, std::int64_t end) {
  return record<T>("slice", x.value().slice(dimension, begin, end), {x},
                   [dimension, begin, end](const Tensor<T>& grad_y, Gradients<T>& into) {
                     if (!into.wanted(0)) return;
                     detail::for_each_element<T>(into.accumulator(0).slice(dimension, begin, end), grad_y,
                                                 [](T& sum, const T& value) { sum += value; });
                   });
}

/// Tensors one after the other along a dimension; they agree in all others. \throws UsageError for no parts,
/// ShapeError. *Cost* O(elements), one copy.
template <ops::Computed T>
Variable<T> concatenate(std::span<const Variable<T>> parts, int dimension) {
  if (parts.empty())
    throw UsageError({"STOFM-1420", "", "[concatenate]", "no parts", "at least one", "Leave the call out."});
  std::vector<std::int64_t> sizes(parts[0].shape().sizes().begin(), parts[0].shape().sizes().end());
  const auto rank = static_cast<int>(sizes.size());
  if (dimension < 0 || dimension >= rank)
    ops::detail::refuse("concatenate", concat("dimension ", dimension),
                        concat("a dimension of ", to_string(parts[0].shape())));
  const auto along = static_cast<std::size_t>(dimension);
  sizes[along] = 0;
  std::vector<std::int64_t> ends;
  for (const Variable<T>& part : parts) {
    bool fits = part.value().rank() == rank;
    for (int i = 0; fits && i < rank; ++i)
      fits = i == dimension || part.shape()[i] == sizes[static_cast<std::size_t>(i)];
    if (!fits)
      ops::detail::refuse("concatenate", concat(to_string(parts[0].shape()), ", ", to_string(part.shape())),
                          concat("shapes that differ in dimension ", dimension, " only"));
    sizes[along] += part.shape()[dimension];
    ends.push_back(sizes[along]);
  }
  Tensor<T> y{Shape(std::span<const std::int64_t>(sizes))};
  for (std::size_t i = 0; i < parts.size(); ++i)
    detail::for_each_element<T>(y.slice(dimension, i == 0 ? 0 : ends[i - 1], ends[i]), parts[i].value(),
                                [](T& place, const T& value) { place = value; });
  return record<T>("concatenate", std::move(y), parts,
                   [dimension, ends](const Tensor<T>& grad_y, Gradients<T>& into) {
                     for (std::size_t i = 0; i < ends.size(); ++i)
                       into.add(i, grad_y.slice(dimension, i == 0 ? 0 : ends[i - 1], ends[i]));
                   });
}
/// Matrices below each other: [M_i, N] -> [sum M_i, N].
template <ops::Computed T>
Variable<T> concat_rows(const std::vector<Variable<T>>& parts) {
  return concatenate<T>(std::span<const Variable<T>>(parts), 0);
}
/// Matrices side by side: [M, N_i] -> [M, sum N_i].
template <ops::Computed T>
Variable<T> concat_columns(const std::vector<Variable<T>>& parts) {
  return concatenate<T>(std::span<const Variable<T>>(parts), 1);
}

}  // namespace stofm::autograd
