// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How well predicted proportions of cell types agree with true ones: by type over spots, and by spot.

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "stofm/tasks/regression_metrics.hpp"

namespace stofm::tasks {

/// Figures of [spots, types] proportions.
struct ProportionScores {
  std::vector<ColumnScores> by_type;
  double mean_pearson = 0;         ///< over types whose correlation is defined; NaN: of none
  double mean_spearman = 0;        ///< likewise
  double rmse = 0;                 ///< over all entries
  double mean_jensen_shannon = 0;  ///< distance (base 2) of each spot's two compositions, mean over spots
};

/// Rows divided by their sums. \return false for a row that has a negative or infinite entry or a sum of 0,
/// which is left as it is
inline bool normalize_composition(std::span<double> row) {
  double sum = 0;
  for (const double v : row) {
    if (!(v >= 0) || !std::isfinite(v)) return false;
    sum += v;
  }
  if (!(sum > 0) || !std::isfinite(sum)) return false;
  for (double& v : row) v /= sum;
  return true;
}

/// Figures of `predicted` against `truth` [spots, types each], rows that sum to 1. \throws as column_scores.
/// *Cost* O(N log N) a type.
inline ProportionScores proportion_scores(TensorView<const double> truth,
                                          TensorView<const double> predicted) {
  ProportionScores scores;
  scores.by_type = column_scores(truth, predicted);
  const auto mean_of = [&scores](double ColumnScores::*member) {
    double sum = 0;
    std::int64_t count = 0;
    for (const ColumnScores& type : scores.by_type)
      if (std::isfinite(type.*member)) sum += type.*member, ++count;
    return count > 0 ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
  };
  scores.mean_pearson = mean_of(&ColumnScores::pearson);
  scores.mean_spearman = mean_of(&ColumnScores::spearman);
  const auto width = static_cast<std::size_t>(truth.dim(1));
  double squares = 0;
  for (std::int64_t i = 0; i < truth.dim(0); ++i) {
    const std::span<const double> t(truth.row(i), width), p(predicted.row(i), width);
    for (std::size_t c = 0; c < width; ++c) squares += (t[c] - p[c]) * (t[c] - p[c]);
    scores.mean_jensen_shannon += jensen_shannon(t, p);
  }
  scores.rmse = std::sqrt(squares / static_cast<double>(truth.dim(0) * truth.dim(1)));
  scores.mean_jensen_shannon /= static_cast<double>(truth.dim(0));
  return scores;
}

}  // namespace stofm::tasks
