// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How well predicted numbers agree with true ones, column by column (genes, cell types): Pearson, Spearman,
/// root mean squared error, Jensen-Shannon distance. Definitions are those of SciPy and scikit-learn.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

namespace detail {
inline void require_pair(const char* op, std::span<const double> truth, std::span<const double> predicted) {
  require_same_count(op, truth.size(), predicted.size(), "values");
  require_some(op, truth.size());
  require_finite(op, "truth", truth);
  require_finite(op, "predicted", predicted);
}

/// NaN if either side is constant.
inline double correlation(std::span<const double> a, std::span<const double> b) {
  const auto n = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) mean_a += a[i], mean_b += b[i];
  mean_a /= n, mean_b /= n;
  double aa = 0, bb = 0, ab = 0, largest_a = 0, largest_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i] - mean_a, y = b[i] - mean_b;
    aa += x * x, bb += y * y, ab += x * y;
    largest_a = (std::max)(largest_a, std::abs(x)), largest_b = (std::max)(largest_b, std::abs(y));
  }
  const auto [low_a, high_a] = std::minmax_element(a.begin(), a.end());
  const auto [low_b, high_b] = std::minmax_element(b.begin(), b.end());
  if (*low_a == *high_a || *low_b == *high_b || !(aa > 0) || !(bb > 0))
    return std::numeric_limits<double>::quiet_NaN();
  return (std::clamp)(ab / (std::sqrt(aa) * std::sqrt(bb)), -1.0, 1.0);
}

/// Ranks from 1; equal values share the mean of their ranks.
inline std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return values[a] < values[b] || (values[a] == values[b] && a < b);
  });
  std::vector<double> rank(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first + 1;
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    const double shared = 0.5 * static_cast<double>(first + 1 + last);
    for (; first < last; ++first) rank[order[first]] = shared;
  }
  return rank;
}
}  // namespace detail

// The functions of two lists below throw ShapeError for other lengths (STOFM-4700), DataError for no values
// (4701) or one that is not finite (4703).

/// Pearson's correlation. NaN where a side is constant (also: one value), as in SciPy. *Cost* O(N).
inline double pearson(std::span<const double> truth, std::span<const double> predicted) {
  detail::require_pair("[pearson]", truth, predicted);
  return detail::correlation(truth, predicted);
}

/// Spearman's rank correlation; ties share their mean rank. NaN where a side is constant. *Cost* O(N log N).
inline double spearman(std::span<const double> truth, std::span<const double> predicted) {
  detail::require_pair("[spearman]", truth, predicted);
  return detail::correlation(detail::ranks(truth), detail::ranks(predicted));
}

/// Root of the mean squared difference.
inline double root_mean_squared_error(std::span<const double> truth, std::span<const double> predicted) {
  detail::require_pair("[root_mean_squared_error]", truth, predicted);
  double sum = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double d = truth[i] - predicted[i];
    sum += d * d;
  }
  return std::sqrt(sum / static_cast<double>(truth.size()));
}

/// Jensen-Shannon *distance* (root of the divergence) between two lists of weights, each divided by its sum:
/// `scipy.spatial.distance.jensenshannon(p, q, base=2)`, in [0, 1]; times sqrt(ln 2) it is SciPy's default
/// (nats). NaN where a list sums to 0. \throws DataError STOFM-4707 for a negative weight, else as above.
inline double jensen_shannon(std::span<const double> p, std::span<const double> q) {
  constexpr const char* op = "[jensen_shannon]";
  detail::require_pair(op, p, q);
  double sum_p = 0, sum_q = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] < 0 || q[i] < 0)
      throw DataError({"STOFM-4707", "", concat(op, " value ", i), concat((std::min)(p[i], q[i])),
                       "weights >= 0", "Only shares and counts have this distance."});
    sum_p += p[i], sum_q += q[i];
  }
  if (!(sum_p > 0) || !(sum_q > 0)) return std::numeric_limits<double>::quiet_NaN();
  double divergence = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double x = p[i] / sum_p, y = q[i] / sum_q, middle = 0.5 * (x + y);
    if (x > 0) divergence += 0.5 * x * std::log2(x / middle);
    if (y > 0) divergence += 0.5 * y * std::log2(y / middle);
  }
  return std::sqrt((std::clamp)(divergence, 0.0, 1.0));
}

/// Figures of one column.
struct ColumnScores {
  double pearson = 0;         ///< NaN: a side is constant
  double spearman = 0;        ///< NaN: a side is constant
  double rmse = 0;            ///< in the units of the column
  double jensen_shannon = 0;  ///< of the column as weights over rows; NaN: a negative value, or a sum of 0
};

/// Figures of each column of `truth` against `predicted` [N, C each].
/// \throws ShapeError (STOFM-4700, 4704); DataError for no rows (4701) or a value that is not finite (4703).
/// *Cost* O(N log N) a column, parallel over columns. *Deterministic* yes, any thread count.
inline std::vector<ColumnScores> column_scores(TensorView<const double> truth,
                                               TensorView<const double> predicted) {
  constexpr const char* op = "[column_scores]";
  detail::require_rows(op, truth);
  detail::require_rows(op, predicted);
  detail::require_same_count(op, static_cast<std::size_t>(truth.dim(0)),
                             static_cast<std::size_t>(predicted.dim(0)), "rows");
  detail::require_same_count(op, static_cast<std::size_t>(truth.dim(1)),
                             static_cast<std::size_t>(predicted.dim(1)), "columns");
  detail::require_some(op, static_cast<std::size_t>(truth.dim(0)));
  detail::require_finite_rows(op, truth);
  detail::require_finite_rows(op, predicted);
  std::vector<ColumnScores> scores(static_cast<std::size_t>(truth.dim(1)));
  parallel_for(truth.dim(1), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> t(static_cast<std::size_t>(truth.dim(0))), p(t.size());
    for (std::int64_t c = begin; c < end; ++c) {
      bool negative = false;
      for (std::int64_t i = 0; i < truth.dim(0); ++i) {
        const auto r = static_cast<std::size_t>(i);
        t[r] = truth.row(i)[c], p[r] = predicted.row(i)[c];
        negative = negative || t[r] < 0 || p[r] < 0;
      }
      ColumnScores& s = scores[static_cast<std::size_t>(c)];
      s = {pearson(t, p), spearman(t, p), root_mean_squared_error(t, p),
           negative ? std::numeric_limits<double>::quiet_NaN() : jensen_shannon(t, p)};
    }
  });
  return scores;
}

}  // namespace stofm::tasks
