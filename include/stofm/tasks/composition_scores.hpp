// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How well estimated shares of cell types agree with known ones, and how often an interval holds the truth.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "stofm/tasks/proportion_metrics.hpp"

namespace stofm::tasks {

struct CompositionScores {
  std::vector<ColumnScores> by_type;  ///< of each type over spots
  double pearson = 0;                 ///< mean over types that some spot has; a constant estimate counts as 0
  double rmse = 0;                    ///< over all spots and types
  double jensen_shannon = 0;          ///< mean distance (base 2) of a spot's shares
  double coverage = 0;                ///< share of true values in their interval; NaN: no interval
  double coverage_present = 0;        ///< the same where the truth is above 0
  std::int64_t spots = 0;             ///< judged: those with an estimate and a truth
};

/// Scores of `found` against `truth` [spots, types each]. Rows with a value that is not finite on either
/// side, or a truth that sums to 0, are left out. `low` and `high` [spots, types] may be empty. \throws
/// ShapeError (STOFM-4700, 4704); DataError where no row is left (4701). *Cost* O(N log N) a type.
inline CompositionScores composition_scores(TensorView<const double> truth, TensorView<const double> found,
                                            TensorView<const double> low = {},
                                            TensorView<const double> high = {}) {
  constexpr const char* op = "[composition_scores]";
  detail::require_rows(op, truth);
  detail::require_rows(op, found);
  detail::require_same_count(op, static_cast<std::size_t>(truth.dim(0)),
                             static_cast<std::size_t>(found.dim(0)), "spots");
  detail::require_same_count(op, static_cast<std::size_t>(truth.dim(1)),
                             static_cast<std::size_t>(found.dim(1)), "types");
  const bool interval = low.rank() == 2 && high.rank() == 2;
  if (interval)
    for (const auto& side : {low, high}) {
      detail::require_rows(op, side);
      detail::require_same_count(op, static_cast<std::size_t>(truth.dim(0) * truth.dim(1)),
                                 static_cast<std::size_t>(side.dim(0) * side.dim(1)), "ends of intervals");
    }
  const std::int64_t types = truth.dim(1);
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < truth.dim(0); ++i) {
    bool finite = true;
    double sum = 0;
    for (std::int64_t t = 0; t < types; ++t) {
      finite = finite && std::isfinite(truth.row(i)[t]) && std::isfinite(found.row(i)[t]);
      sum += truth.row(i)[t];
    }
    if (finite && sum > 0) kept.push_back(i);
  }
  CompositionScores scores;
  scores.spots = static_cast<std::int64_t>(kept.size());
  detail::require_some(op, kept.size());
  Tensor<double> t = Tensor<double>::zeros({scores.spots, types}),
                 f = Tensor<double>::zeros({scores.spots, types});
  double inside = 0, inside_present = 0, present = 0;
  std::vector<double> seen(static_cast<std::size_t>(types), 0.0);
  for (std::int64_t r = 0; r < scores.spots; ++r) {
    const std::int64_t i = kept[static_cast<std::size_t>(r)];
    double sum = 0;
    for (std::int64_t c = 0; c < types; ++c) sum += truth.row(i)[c];
    for (std::int64_t c = 0; c < types; ++c) {
      const double x = t(r, c) = truth.row(i)[c] / sum;
      f(r, c) = found.row(i)[c];
      seen[static_cast<std::size_t>(c)] += x;
      if (!interval) continue;
      const bool holds = x >= low.row(i)[c] - 1e-12 && x <= high.row(i)[c] + 1e-12;
      inside += holds;
      if (x > 0) ++present, inside_present += holds;
    }
  }
  const double all = static_cast<double>(scores.spots) * static_cast<double>(types);
  ProportionScores plain = proportion_scores(std::as_const(t).view(), std::as_const(f).view());
  scores.jensen_shannon = plain.mean_jensen_shannon;
  scores.rmse = plain.rmse;
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  scores.coverage = interval ? inside / all : nan;
  scores.coverage_present = interval && present > 0 ? inside_present / present : nan;
  scores.by_type = std::move(plain.by_type);
  double judged = 0;
  for (std::size_t c = 0; c < seen.size(); ++c) {
    if (!(seen[c] > 0)) continue;
    ++judged;
    scores.pearson += std::isnan(scores.by_type[c].pearson) ? 0.0 : scores.by_type[c].pearson;
  }
  scores.pearson /= (std::max)(judged, 1.0);
  return scores;
}

}  // namespace stofm::tasks
