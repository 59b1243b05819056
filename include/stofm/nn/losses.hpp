// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Losses of a batch that comes in parts: each part gives the sum of its losses and their number, and the
/// batch's loss is the sum of the sums over the sum of the numbers, so that a part counts by its targets. The
/// losses themselves (mse, cosine_loss, cross_entropy) are rules: autograd/rules/losses.hpp.

#include <vector>

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/losses.hpp"

namespace stofm::nn {

using autograd::cosine_loss;
using autograd::cross_entropy;
using autograd::mse;
using autograd::Reduction;

/// The losses of some targets, summed.
template <ops::Computed T>
struct LossSum {
  autograd::Variable<T> sum;  ///< one number; absent: nothing
  double count = 0;           ///< targets, or their weights' sum
};

/// Both together. A part without targets adds nothing.
template <ops::Computed T>
LossSum<T> operator+(const LossSum<T>& a, const LossSum<T>& b) {
  if (a.sum.absent() || a.count == 0) return b;
  if (b.sum.absent() || b.count == 0) return a;
  return {autograd::add(a.sum, b.sum), a.count + b.count};
}

/// weight * sum / count; an absent variable if there are no targets (skip the step: there is nothing to learn
/// from).
template <ops::Computed T>
autograd::Variable<T> mean_loss(const LossSum<T>& loss, double weight = 1.0) {
  if (loss.sum.absent() || loss.count == 0) return {};
  return autograd::scale(loss.sum, static_cast<T>(weight / loss.count));
}

}  // namespace stofm::nn
