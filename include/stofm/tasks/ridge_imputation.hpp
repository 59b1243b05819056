// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// gene_imputation.hpp by ridge regression: sums over the cells that are learnt from and over those held out,
/// the penalty from the latter, the final fit to both.

#include <limits>

#include "stofm/tasks/gene_imputation.hpp"

namespace stofm::tasks::detail {

/// Sums of one group of targets.
struct RidgeGroup {
  TargetGroup group;
  std::vector<SparseRows> targets;  ///< by source of the group
  RidgeSums learnt, held;
  double penalty = 0;
  std::vector<double> pearson;  ///< [targets of the group] on held-out cells; NaN: not known
};

inline std::vector<std::int32_t> first_numbers(std::size_t count) {
  std::vector<std::int32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

inline RidgeGroup ridge_group(std::span<const ImputationSource> sources, TargetGroup group,
                              const GeneImputationOptions& options, const pipeline::Progress& progress) {
  const std::int64_t features = sources[0].features.dim(1);
  const auto count = static_cast<std::int64_t>(group.targets.size());
  RidgeGroup result{std::move(group), {}, RidgeSums(features, count), RidgeSums(features, count), 0, {}};
  for (const std::size_t s : result.group.sources) {
    progress.check();
    result.targets.push_back(sparse_columns(*sources[s].targets, result.group.targets));
    const SparseRows& rows = result.targets.back();
    const SparseTargets targets{rows.offsets, rows.columns, rows.values};
    result.learnt.add(sources[s].features, targets, cells_for(sources[s], ReferenceCell::learn));
    result.held.add(sources[s].features, targets, cells_for(sources[s], ReferenceCell::held_out));
  }
  const RidgeProblem problem(result.learnt);
  // Some hundred genes are enough to choose by: evenly among those that vary.
  std::vector<std::int32_t> varying, chosen;
  const RidgeSums& judge = result.held.cells() > 0 ? result.held : result.learnt;
  for (std::int64_t t = 0; t < count; ++t) {
    const auto at = static_cast<std::size_t>(t);
    const double n = static_cast<double>(judge.cells()), mean = judge.sum_y()[at] / n;
    if (judge.sum_yy()[at] / n - mean * mean > 1e-9) varying.push_back(static_cast<std::int32_t>(t));
  }
  const std::size_t step = varying.size() / 400 + 1;
  for (std::size_t v = 0; v < varying.size(); v += step) chosen.push_back(varying[v]);
  double best = std::numeric_limits<double>::infinity();
  for (const double penalty : options.penalties) {
    progress.check();
    double score = 0;
    if (result.held.cells() > 0) {
      const RidgeScores scores = ridge_scores(problem.fit(penalty, chosen), result.held);
      for (std::size_t t = 0; t < chosen.size(); ++t) score += scores.squared_error[t] / scores.variance[t];
    } else {
      score = problem.cross_validation(penalty, chosen);
    }
    if (score < best || result.penalty == 0) best = score, result.penalty = penalty;
  }
  result.pearson.assign(static_cast<std::size_t>(count), std::numeric_limits<double>::quiet_NaN());
  constexpr std::size_t at_once = 1024;
  const std::vector<std::int32_t> all = first_numbers(static_cast<std::size_t>(count));
  for (std::size_t first = 0; result.held.cells() > 0 && first < all.size(); first += at_once) {
    progress.check();
    const auto some = std::span(all).subspan(first, (std::min)(at_once, all.size() - first));
    const RidgeScores scores = ridge_scores(problem.fit(result.penalty, some), result.held);
    std::copy(scores.pearson.begin(), scores.pearson.end(),
              result.pearson.begin() + static_cast<std::ptrdiff_t>(first));
  }
  return result;
}

/// Predictions of `kept` (targets of the group) for `cells`, and their correlations on held-out cells.
inline Tensor<float> ridge_values(std::span<const ImputationSource> sources, RidgeGroup& of,
                                  std::span<const std::int32_t> kept, TensorView<const float> cells,
                                  CorrelationMeans& means) {
  if (of.held.cells() > 0) {
    const RidgeFit fit = RidgeProblem(of.learnt).fit(of.penalty, kept);
    for (std::size_t s = 0; s < of.group.sources.size(); ++s) {
      const ImputationSource& source = sources[of.group.sources[s]];
      const std::vector<std::int64_t> listed = cells_for(source, ReferenceCell::held_out);
      if (listed.empty()) continue;
      const Tensor<float> rows = listed_rows(source.features, listed);
      Tensor<float> predicted = ridge_predictions(fit, rows.view());
      clip_below_zero(predicted);
      means.add(sparse_columns(of.targets[s], kept), listed, predicted);
    }
    of.learnt.add(of.held);
  }
  Tensor<float> values = ridge_predictions(RidgeProblem(of.learnt).fit(of.penalty, kept), cells);
  clip_below_zero(values);
  return values;
}

}  // namespace stofm::tasks::detail
