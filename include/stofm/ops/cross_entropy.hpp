// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Cross entropy of one row of logits, with its gradient.

#include <span>

#include "stofm/backend/cpu/cross_entropy.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// weight * (log sum_j exp(row_j) - row_target) comes back, gradient = weight * (softmax(row) - one at
/// target). A logit of -inf counts as absent. *Shapes* [N] both. \throws ShapeError; STOFM-1103 for a target
/// outside [0, N). *Cost* O(N). *Deterministic* yes.
template <Computed T>
double cross_entropy_row(std::span<T> gradient, std::type_identity_t<std::span<const T>> row,
                         std::int64_t target, double weight) {
  const auto n = static_cast<std::int64_t>(row.size());
  if (gradient.size() != row.size())
    detail::refuse("cross_entropy", concat(gradient.size(), " gradients, ", n, " logits"),
                   "a gradient for each logit");
  if (target < 0 || target >= n)
    detail::refuse("cross_entropy", concat("target ", target), concat("0 to ", n - 1), "STOFM-1103",
                   "Check the targets.");
  return backend::cross_entropy_row(gradient.data(), row.data(), n, target, weight);
}

}  // namespace stofm::ops
