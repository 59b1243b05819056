// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Scatter of rows on the CPU: tasks of 64 columns of the table, each walks all rows in order, so that no two
/// threads add into one place and the order of every sum is that of the indices.

#include <algorithm>
#include <span>

#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// table[indices[i], :] += x[i, :]. Indices were checked.
template <class T, class I>
void scatter_add_rows(Cpu, TensorView<T> table, TensorView<const T> x, std::span<const I> indices) {
  if (x.numel() == 0) return;
  parallel_for(table.dim(1), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < x.dim(0); ++i) {
      const T* from = x.row(i);
      T* to = table.row(static_cast<std::int64_t>(indices[static_cast<std::size_t>(i)]));
      for (std::int64_t j = begin; j < end; ++j) to[j] += from[j];
    }
  });
}

}  // namespace stofm::backend
