// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Losses, differentiable. Each is a sum over its targets, or their mean: a batch in several parts adds up
/// sums and divides once. A loss over no targets is 0 with zero gradient. Targets are constants. All sums run
/// in double.

#include <cmath>
#include <span>
#include <vector>

#include "stofm/autograd/rules/dense.hpp"
#include "stofm/autograd/rules/reduce.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/ops/cross_entropy.hpp"

namespace stofm::autograd {

/// How the losses of single targets become one number.
enum class Reduction {
  mean,  ///< divided by the number (or the weights' sum) of targets; 0 if there are none
  sum,
};

namespace detail {
/// The loss from its sum and its number of targets; `gradient` times the gradient of the result is that of
/// input 0.
template <ops::Computed T>
Variable<T> loss(const char* op, const Variable<T>& x, double sum, double count, Tensor<T> gradient,
                 Reduction how) {
  const double divisor = how == Reduction::sum ? 1.0 : count;
  const double factor = divisor == 0.0 ? 0.0 : 1.0 / divisor;
  return record<T>(op, Tensor<T>::full(Shape{}, static_cast<T>(sum * factor)), {x},
                   [gradient = std::move(gradient), factor](const Tensor<T>& grad_y, Gradients<T>& into) {
                     const auto by = static_cast<T>(static_cast<double>(*grad_y.data()) * factor);
                     if (into.wanted(0)) into.add_owned(0, ops::scale(gradient, by));
                   });
}
}  // namespace detail

/// Squared differences: grad_x = 2 (x - target). *Shapes* equal, any. \throws ShapeError. *Saved* the
/// difference.
template <ops::Computed T>
Variable<T> mse(const Variable<T>& x, const Tensor<T>& target, Reduction how = Reduction::mean) {
  Tensor<T> difference = ops::sub(detail::with_dense_rows(x.value()), detail::with_dense_rows(target));
  double sum = 0;
  for (const T& d : std::as_const(difference).span()) sum += static_cast<double>(d) * static_cast<double>(d);
  for (T& d : difference.span()) d *= T(2);
  const auto count = static_cast<double>(difference.numel());
  return detail::loss("mse", x, sum, count, std::move(difference), how);
}

/// 1 - cos(x_i, target_i) per row; the cosine with a row of zeros is 0, with gradient 0. With h = x / ||x||
/// and t = target / ||target||: grad_x = -(t - h <h, t>) / ||x||. *Shapes* [M, C] both. \throws ShapeError.
template <ops::Computed T>
Variable<T> cosine_loss(const Variable<T>& x, const Tensor<T>& target, Reduction how = Reduction::mean) {
  const Tensor<T> rows = detail::with_dense_rows(x.value()), other = detail::with_dense_rows(target);
  ops::detail::require_rank("cosine_loss", "x", rows.view(), 2);
  ops::detail::require_same_shape("cosine_loss", "x", rows.view(), "target", other.view());
  const std::int64_t m = rows.dim(0), n = rows.dim(1);
  Tensor<T> gradient(rows.shape());
  double sum = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    const T *a = rows.view().row(i), *b = other.view().row(i);
    double aa = 0, ab = 0, bb = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      const auto p = static_cast<double>(a[j]), q = static_cast<double>(b[j]);
      aa += p * p;
      ab += p * q;
      bb += q * q;
    }
    const double a_factor = aa == 0 ? 0.0 : 1.0 / std::sqrt(aa),
                 b_factor = bb == 0 ? 0.0 : 1.0 / std::sqrt(bb);
    const double cosine = ab * a_factor * b_factor;
    sum += 1.0 - cosine;
    for (std::int64_t j = 0; j < n; ++j)
      gradient.view().row(i)[j] = static_cast<T>(
          -a_factor * (static_cast<double>(b[j]) * b_factor - static_cast<double>(a[j]) * a_factor * cosine));
  }
  return detail::loss("cosine_loss", x, sum, static_cast<double>(m), std::move(gradient), how);
}

/// -w_i log softmax(logits_i)[targets_i]; with Reduction::mean divided by the sum of the weights, as in
/// torch. *Shapes* logits: [M, V], targets: M values in [0, V), weights: [M] or none (1 each; a target of
/// weight 0 is not looked at and may be out of range). A logit of -inf is a class that can not be chosen:
/// gradient 0. grad_logits_i = w_i (softmax(logits_i) - one at targets_i). *Saved* the gradient, [M, V].
/// \throws ShapeError.
template <ops::Computed T, std::integral I>
Variable<T> cross_entropy(const Variable<T>& logits, std::span<const I> targets,
                          std::span<const std::type_identity_t<T>> weights = {},
                          Reduction how = Reduction::mean) {
  const Tensor<T> rows = detail::with_dense_rows(logits.value());
  ops::detail::require_rank("cross_entropy", "logits", rows.view(), 2);
  const std::int64_t m = rows.dim(0), n = rows.dim(1);
  if (static_cast<std::int64_t>(targets.size()) != m ||
      (!weights.empty() && weights.size() != targets.size()))
    ops::detail::refuse("cross_entropy",
                        concat("logits ", to_string(rows.shape()), ", ", targets.size(), " targets, ",
                               weights.size(), " weights"),
                        "a target for each row, and a weight for each or none");
  auto weight_of = [&](std::int64_t i) {
    return weights.empty() ? 1.0 : static_cast<double>(weights[static_cast<std::size_t>(i)]);
  };
  std::vector<double> losses(targets.size(), 0.0);
  Tensor<T> gradient(rows.shape());
  for (std::int64_t i = 0; i < m; ++i) {
    const I target = targets[static_cast<std::size_t>(i)];
    if (weight_of(i) != 0.0 && (target < 0 || static_cast<std::int64_t>(target) >= n))
      ops::detail::refuse("cross_entropy", concat("target ", target, " of row ", i), concat("0 to ", n - 1),
                          "STOFM-1103", "Check the targets.");
  }
  parallel_for(m, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* row = rows.view().row(i);
      T* out = gradient.view().row(i);
      const double weight = weight_of(i);
      if (weight == 0.0) {
        std::fill_n(out, n, T(0));
        continue;
      }
      const auto columns = static_cast<std::size_t>(n);
      const auto at = static_cast<std::int64_t>(targets[static_cast<std::size_t>(i)]);
      losses[static_cast<std::size_t>(i)] =
          ops::cross_entropy_row<T>({out, columns}, {row, columns}, at, weight);
    }
  });
  double sum = 0, count = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    sum += losses[static_cast<std::size_t>(i)];
    count += weight_of(i);
  }
  return detail::loss("cross_entropy", logits, sum, count, std::move(gradient), how);
}
template <ops::Computed T, std::integral I>
Variable<T> cross_entropy(const Variable<T>& logits, const std::vector<I>& targets,
                          const std::vector<T>& weights = {}, Reduction how = Reduction::mean) {
  return cross_entropy<T, I>(logits, std::span<const I>(targets), std::span<const T>(weights), how);
}

}  // namespace stofm::autograd
