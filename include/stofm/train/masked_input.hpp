// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Keeps the -100 of masked cells from drowning everything: rows of the input layer that sum to zero.
///
/// A masked cell has F = -100 in every component (SPEC section 6), so the input layer W F + b gives it -100
/// times the sums of W's rows: with random rows of C = 256 weights of 0.02 that is 32 a component, where a
/// cell of |F| = 1 gives 0.02; and one step of AdamW at rate 1e-3 moves it by up to 100 * 256 * 1e-3. Nothing
/// is learnt through that. With rows that sum to zero the -100s cancel and the masked cell is b + type
/// embedding: a mask token that is learnt. The gradient is projected onto such rows before the step, and what
/// AdamW leaves beside them is taken away after it. *Source* our own choice; the paper says nothing on it,
/// and the published weights need nothing of it to embed.

#include <cmath>

#include "stofm/autograd/parameter.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::train {

namespace detail {
/// Subtracts its mean from every row. Sums in double, in the order of the columns.
template <ops::Computed T>
void centre_weight_rows(Tensor<T>& w) {
  const std::int64_t columns = w.dim(1);
  parallel_for(w.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T* row = w.data() + i * columns;
      double sum = 0;
      for (std::int64_t j = 0; j < columns; ++j) sum += static_cast<double>(row[j]);
      const auto mean = static_cast<T>(sum / static_cast<double>(columns));
      for (std::int64_t j = 0; j < columns; ++j) row[j] -= mean;
    }
  });
}
}  // namespace detail

/// Whether rows of `weight` [E, C] sum to zero within rounding: |sum| <= 1e-4 of the sum of absolute values,
/// each.
template <ops::Computed T>
bool has_neutral_rows(const Tensor<T>& weight) {
  for (std::int64_t i = 0; i < weight.dim(0); ++i) {
    double sum = 0, size = 0;
    for (std::int64_t j = 0; j < weight.dim(1); ++j) {
      sum += static_cast<double>(weight(i, j));
      size += std::abs(static_cast<double>(weight(i, j)));
    }
    if (std::abs(sum) > 1e-4 * size) return false;
  }
  return true;
}

/// Makes the rows of a weight [E, C] sum to zero: once before training, and before every step (what the last
/// one left beside is far below what it changed). *Cost* E C. *Deterministic* yes.
template <ops::Computed T>
void neutralise_rows(autograd::Parameter<T>& weight) {
  detail::centre_weight_rows(weight.changing());
}

/// Projects the gradient of a weight onto rows that sum to zero: after backward, before clipping, so that the
/// part that masked cells put across takes nothing of the global norm.
template <ops::Computed T>
void project_gradient_rows(autograd::Parameter<T>& weight) {
  detail::centre_weight_rows(weight.grad());
}

}  // namespace stofm::train
