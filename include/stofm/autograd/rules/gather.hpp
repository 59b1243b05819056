// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows of a table picked by index, differentiable: grad_table[v] = sum of grad_y[i] over all i with
/// indices[i] = v.

#include <cstdint>
#include <span>
#include <vector>

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/embedding.hpp"
#include "stofm/ops/scatter_rows.hpp"

namespace stofm::autograd {

/// y[i] = table[indices[i]]. *Shapes* table: [V, C], indices: n values in [0, V), copied; result [n, C].
/// Repeated indices add up, in the order of their positions. *Saved* the indices. \throws ShapeError (also
/// for an index outside the table). *Cost* O(n C) forward and backward; a table that is a parameter is added
/// into in place. *Deterministic* yes, for any number of threads.
template <ops::Computed T, std::integral I>
Variable<T> gather_rows(const Variable<T>& table, std::span<const I> indices) {
  Tensor<T> y = ops::gather_rows<T, I>(detail::with_dense_rows(table.value()), indices);
  if (!table.needs_grad()) return constant(std::move(y));
  return record<T>(
      "gather_rows", std::move(y), {table},
      [kept = std::vector<I>(indices.begin(), indices.end())](const Tensor<T>& grad_y, Gradients<T>& into) {
        if (into.wanted(0))
          ops::scatter_add_rows_into<T, I>(into.accumulator(0).view(), grad_y.view(),
                                           std::span<const I>(kept));
      });
}
template <ops::Computed T, std::integral I>
Variable<T> gather_rows(const Variable<T>& table, const std::vector<I>& indices) {
  return gather_rows<T, I>(table, std::span<const I>(indices));
}

/// The same for activations: rows of x at the given places.
template <ops::Computed T, std::integral I>
Variable<T> take_rows(const Variable<T>& x, std::span<const I> indices) {
  return gather_rows<T, I>(x, indices);
}
template <ops::Computed T, std::integral I>
Variable<T> take_rows(const Variable<T>& x, const std::vector<I>& indices) {
  return gather_rows<T, I>(x, std::span<const I>(indices));
}

}  // namespace stofm::autograd
