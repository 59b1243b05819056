// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Row gather on the CPU.

#include <algorithm>
#include <span>

#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// Indices were checked. `accumulate`: add to y instead of overwriting it.
template <class T, class I>
void gather_rows(Cpu, TensorView<T> y, TensorView<const T> table, std::span<const I> indices,
                 bool accumulate) {
  const std::int64_t columns = y.dim(1);
  parallel_for(y.dim(0), 128, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* from = table.row(static_cast<std::int64_t>(indices[static_cast<std::size_t>(i)]));
      T* to = y.row(i);
      if (accumulate)
        for (std::int64_t j = 0; j < columns; ++j) to[j] += from[j];
      else
        std::copy(from, from + columns, to);
    }
  });
}

}  // namespace stofm::backend
