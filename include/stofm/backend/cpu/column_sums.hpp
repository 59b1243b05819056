// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums over the rows of a matrix on the CPU: tasks of 64 columns, each walks all rows in order.

#include <algorithm>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// sums[j] += sum_i x[i, j]; x: [M, N] with dense rows.
template <class T>
void add_column_sums(Cpu, T* sums, TensorView<const T> x) {
  constexpr std::int64_t block = 64;
  if (x.dim(0) == 0) return;
  parallel_for(x.dim(1), block, [&](std::int64_t begin, std::int64_t end) {
    double total[block] = {};
    for (std::int64_t i = 0; i < x.dim(0); ++i) {
      const T* row = x.row(i) + begin;
      for (std::int64_t j = 0; j < end - begin; ++j) total[j] += static_cast<double>(row[j]);
    }
    for (std::int64_t j = 0; j < end - begin; ++j)
      sums[begin + j] = static_cast<T>(static_cast<double>(sums[begin + j]) + total[j]);
  });
}

STOFM_KERNEL_INSTANCES(add_column_sums)

}  // namespace stofm::backend
