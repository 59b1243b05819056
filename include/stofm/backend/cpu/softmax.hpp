// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax of rows on the CPU.

#include <cmath>
#include <limits>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// One row in place; log sum exp comes back. All -inf (everything masked) gives zeros; a NaN makes the row
/// NaN.
template <class T>
double softmax_row_generic(T* row, std::int64_t n) {
  T largest = -std::numeric_limits<T>::infinity();
  for (std::int64_t j = 0; j < n; ++j) largest = row[j] > largest ? row[j] : largest;
  if (largest == -std::numeric_limits<T>::infinity()) largest = T(0);
  double sum = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    row[j] = std::exp(row[j] - largest);
    sum += static_cast<double>(row[j]);
  }
  const T factor = sum == 0 ? T(0) : static_cast<T>(1.0 / sum);
  for (std::int64_t j = 0; j < n; ++j) row[j] *= factor;
  return static_cast<double>(largest) + std::log(sum);
}

/// x, y: [M, N] with dense rows; y may be x.
template <class T>
void softmax(Cpu, TensorView<T> y, TensorView<const T> x) {
  parallel_for(y.dim(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T* row = y.row(i);
      if (row != x.row(i))
        for (std::int64_t j = 0; j < y.dim(1); ++j) row[j] = x.row(i)[j];
      softmax_row_generic(row, y.dim(1));
    }
  });
}

STOFM_KERNEL_INSTANCES(softmax)

}  // namespace stofm::backend
