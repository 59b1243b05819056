// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows added to the rows of a table that indices name: the transpose of a gather, and its gradient.

#include <span>

#include "stofm/backend/cpu/scatter_rows.hpp"
#include "stofm/ops/embedding.hpp"

namespace stofm::ops {

/// table[indices[i], :] += x[i, :], in the order of i for each row of the table. *Shapes* table: [V, C], x:
/// [n, C] with dense rows, indices: n values in [0, V). \throws ShapeError (also for an index outside the
/// table). *Cost* O(n C). *Deterministic* yes, for any number of threads.
template <Computed T, std::integral I>
void scatter_add_rows_into(TensorView<T> table, Input<T> x, std::span<const I> indices) {
  detail::check_gather("scatter_add_rows", x, TensorView<const T>(table), indices);
  backend::scatter_add_rows(Cpu{}, table, x, indices);
}

}  // namespace stofm::ops
