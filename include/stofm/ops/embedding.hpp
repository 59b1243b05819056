// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows of a table picked by index: y[i] = table[indices[i]], or added to what is there.

#include <cstdint>
#include <span>

#include "stofm/backend/cpu/gather.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

namespace detail {
template <class Y, Computed T, std::integral I>
void check_gather(const char* op, const TensorView<Y>& y, const TensorView<const T>& table,
                  std::span<const I> indices) {
  require_rank(op, "y", y, 2);
  require_rank(op, "table", table, 2);
  require_shape(op, "y", y, Shape{static_cast<std::int64_t>(indices.size()), table.dim(1)},
                "number of indices, columns of the table");
  require_dense_rows(op, "y", y);
  require_dense_rows(op, "table", table);
  for (std::size_t i = 0; i < indices.size(); ++i)
    if (indices[i] < 0 || static_cast<std::int64_t>(indices[i]) >= table.dim(0))
      refuse(op, concat("index ", indices[i], " at position ", i),
             concat("0 to ", table.dim(0) - 1, " for table ", to_string(table.shape)), "STOFM-1103",
             "Check the indices.");
}
}  // namespace detail

/// y[i, :] = table[indices[i], :]. *Shapes* y: [n, C], table: [V, C], indices: n values in [0, V).
/// \throws ShapeError (also for an index outside the table). *Cost* O(n C).
template <Computed T, std::integral I>
void gather_rows_into(TensorView<T> y, Input<T> table, std::span<const I> indices) {
  detail::check_gather("gather_rows", y, table, indices);
  backend::gather_rows(Cpu{}, y, table, indices, false);
}

/// y[i, :] += table[indices[i], :], as gather_rows_into.
template <Computed T, std::integral I>
void add_gathered_rows_into(TensorView<T> y, Input<T> table, std::span<const I> indices) {
  detail::check_gather("add_gathered_rows", y, table, indices);
  backend::gather_rows(Cpu{}, y, table, indices, true);
}

template <Computed T, std::integral I>
Tensor<T> gather_rows(const Tensor<T>& table, std::span<const I> indices) {
  detail::require_rank("gather_rows", "table", table.view(), 2);
  Tensor<T> y(Shape{static_cast<std::int64_t>(indices.size()), table.dim(1)});
  gather_rows_into(y.view(), table.view(), indices);
  return y;
}

}  // namespace stofm::ops
