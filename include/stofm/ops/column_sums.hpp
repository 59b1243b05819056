// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums over the rows of a matrix, added to what is there: the gradient of a row that was added to every row.

#include "stofm/backend/cpu/column_sums.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// sums[j] += sum_i x[i, j], summed in double in the order of the rows. *Shapes* sums: [N] dense, x: [M, N]
/// with dense rows. \throws ShapeError. *Cost* O(M N). *Deterministic* yes, for any number of threads.
template <Computed T>
void add_column_sums_into(TensorView<T> sums, Input<T> x) {
  detail::require_rank("add_column_sums", "x", x, 2);
  detail::require_shape("add_column_sums", "sums", sums, Shape{x.dim(1)}, "one per column");
  detail::require_dense_rows("add_column_sums", "sums", sums);
  detail::require_dense_rows("add_column_sums", "x", x);
  backend::add_column_sums(Cpu{}, sums.data, x);
}

}  // namespace stofm::ops
