// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How much each of several heads is trusted: the mixture of their probabilities that says most of cells
/// which none of them learnt from ("stacking").
///
///     w = argmax over w >= 0, sum w = 1 of  sum_i b_i log sum_m w_m p_m(i, y_i)
///
/// The problem is concave; EM goes to its maximum from equal weights. b: each class weighs the same, or each
/// cell. *Source* Wolpert, "Stacked generalization", Neural Networks 5 (1992); Smyth and Wolpert, "Linearly
/// combining density estimators via stacking", Machine Learning 36 (1999), for the mixture and its EM.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/tasks/checks.hpp"
#include "stofm/tasks/logistic_regression.hpp"

namespace stofm::tasks {

namespace detail {

/// Nothing that a head says is less probable, so that one cell can't decide. *Source* ours.
inline constexpr double least_probability = 1e-6;

/// Weight of each cell, sum 1; 0 without a label.
inline std::vector<double> cell_weights(std::span<const std::int32_t> labels, std::int64_t classes,
                                        ClassWeights weights) {
  std::vector<std::int64_t> count(static_cast<std::size_t>(classes), 0);
  for (const std::int32_t label : labels)
    if (label >= 0) ++count[static_cast<std::size_t>(label)];
  std::vector<double> weight(labels.size(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0)
      sum += weight[i] = weights == ClassWeights::balanced
                             ? 1.0 / static_cast<double>(count[static_cast<std::size_t>(labels[i])])
                             : 1.0;
  for (double& w : weight) w = sum > 0 ? w / sum : 0.0;
  return weight;
}

inline double of_label(TensorView<const double> probabilities, std::size_t i, std::int32_t label) {
  return (std::max)(probabilities.row(static_cast<std::int64_t>(i))[label], least_probability);
}

}  // namespace detail

/// Mean of -log of the probability [N, classes] that cells give to their label (-1: not judged).
/// \throws ShapeError (STOFM-4700, 4704). *Cost* O(N). *Deterministic* yes.
inline double log_loss(TensorView<const double> probabilities, std::span<const std::int32_t> labels,
                       ClassWeights weights) {
  constexpr const char* op = "[log_loss]";
  detail::require_rows(op, probabilities);
  detail::require_same_count(op, static_cast<std::size_t>(probabilities.dim(0)), labels.size(),
                             "rows and labels");
  const std::vector<double> weight = detail::cell_weights(labels, probabilities.dim(1), weights);
  double loss = 0;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0) loss -= weight[i] * std::log(detail::of_label(probabilities, i, labels[i]));
  return loss;
}

/// Weights [heads], sum 1, of heads that gave the cells `probabilities` (by head [N, classes]); cells with
/// label -1 are not judged, without any all weigh the same. A head below `least` gets 0: it is not worth its
/// cost. \throws ShapeError (STOFM-4700, 4704). *Cost* O(200 N heads). *Deterministic* yes.
inline std::vector<double> head_weights(std::span<const Tensor<double>> probabilities,
                                        std::span<const std::int32_t> labels, ClassWeights weights,
                                        double least = 0.02) {
  constexpr const char* op = "[head_weights]";
  constexpr int rounds = 200;
  const std::size_t heads = probabilities.size();
  std::vector<double> trust(heads, 1.0 / static_cast<double>((std::max<std::size_t>)(heads, 1)));
  if (heads < 2) return trust;
  for (const Tensor<double>& one : probabilities) {
    detail::require_rows(op, one.view());
    detail::require_same_count(op, static_cast<std::size_t>(one.dim(0)), labels.size(), "rows and labels");
  }
  const std::vector<double> weight = detail::cell_weights(labels, probabilities[0].dim(1), weights);
  std::vector<double> said, share, cell;  // [judged, heads], [heads], [judged]
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) continue;
    cell.push_back(weight[i]);
    for (const Tensor<double>& one : probabilities)
      said.push_back(detail::of_label(one.view(), i, labels[i]));
  }
  if (cell.empty()) return trust;
  for (int round = 0; round < rounds; ++round) {
    share.assign(heads, 0.0);
    for (std::size_t i = 0; i < cell.size(); ++i) {
      double sum = 0;
      for (std::size_t m = 0; m < heads; ++m) sum += trust[m] * said[i * heads + m];
      for (std::size_t m = 0; m < heads; ++m) share[m] += cell[i] * trust[m] * said[i * heads + m] / sum;
    }
    trust = share;
  }
  least = (std::min)(least, *std::max_element(trust.begin(), trust.end()));  // of many heads all may be small
  double kept = 0;
  for (double& w : trust) kept += w < least ? (w = 0) : w;
  for (double& w : trust) w /= kept;
  return trust;
}

/// sum_m weights[m] probabilities[m]; heads without a weight may be empty.
/// \throws ShapeError (STOFM-4700). *Cost* O(N classes heads).
inline Tensor<double> mixed_probabilities(std::span<const Tensor<double>> probabilities,
                                          std::span<const double> weights) {
  detail::require_same_count("[mixed_probabilities]", probabilities.size(), weights.size(),
                             "heads and weights");
  Tensor<double> mixed;
  for (std::size_t m = 0; m < weights.size(); ++m) {
    if (weights[m] == 0) continue;
    if (mixed.numel() == 0) mixed = Tensor<double>::zeros(probabilities[m].shape());
    detail::require_same_count("[mixed_probabilities]", static_cast<std::size_t>(mixed.numel()),
                               static_cast<std::size_t>(probabilities[m].numel()), "probabilities of heads");
    for (std::int64_t e = 0; e < mixed.numel(); ++e)
      mixed.data()[e] += weights[m] * probabilities[m].data()[e];
  }
  return mixed;
}

}  // namespace stofm::tasks
