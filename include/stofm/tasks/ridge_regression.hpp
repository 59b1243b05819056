// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Ridge regression of very many targets (genes) on the same features, from sums over cells alone: cells are
/// met once, block by block, and neither features nor targets of all cells need be in memory.
///
///     z = (x - mean) / deviation      minimise  sum_i (y_ig - b_g - w_g . z_i)^2 + penalty N |w_g|^2
///
/// One factorisation serves all targets. It is scikit-learn's Ridge(alpha = penalty N) on standardised
/// features. How well a fit predicts other cells (squared error, Pearson) follows from the sums over those
/// cells, without predicting any. The penalty is chosen there, or, where no cells were held out, by
/// generalised cross-validation (Golub, Heath and Wahba, Technometrics 21, 1979):
///
///     N RSS / (N - 1 - trace)^2      RSS = |y|^2 - w.c - penalty N |w|^2      c = Z'y

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include <Eigen/Cholesky>

#include "stofm/tasks/ridge_sums.hpp"

namespace stofm::tasks {

/// A fit: y_g = intercepts[g] + coefficients[g] . x, in the units of features and targets.
struct RidgeFit {
  double penalty = 0;
  std::vector<std::int32_t> targets;  ///< [T] which of those of the sums
  Tensor<double> coefficients;        ///< [T, features]
  std::vector<double> intercepts;     ///< [T]
};

/// How a fit does on cells: one entry per target of the fit.
struct RidgeScores {
  std::vector<double> squared_error;  ///< mean
  std::vector<double> variance;       ///< of the truth there
  std::vector<double> pearson;        ///< NaN: a side is constant
};

/// Sums, factorised for one penalty after the other.
class RidgeProblem {
 public:
  /// `sums` must live as long. \throws DataError STOFM-4772 for fewer than 2 cells.
  explicit RidgeProblem(const RidgeSums& sums) : sums_(sums), count_(static_cast<double>(sums.cells())) {
    if (sums.cells() < 2)
      throw DataError({"STOFM-4772", "", "[ridge_regression]", concat(sums.cells(), " cells"),
                       "at least 2 to learn from", "Give a reference with more cells."});
    const std::int64_t f = sums.features();
    scale_.resize(static_cast<std::size_t>(f));
    gram_ = sums.sum_xx();
    for (std::int64_t j = 0; j < f; ++j) {
      const double mean = sums.sum_x()[static_cast<std::size_t>(j)] / count_, square = gram_(j, j) / count_,
                   variance = square - mean * mean;
      // What rounding leaves of a column that is constant.
      scale_[static_cast<std::size_t>(j)] =
          variance > 64 * std::numeric_limits<double>::epsilon() * square ? std::sqrt(variance) : 0.0;
    }
    for (std::int64_t i = 0; i < f; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
        const double scale = scale_[a] * scale_[b];
        gram_(i, j) = scale > 0 ? (gram_(i, j) - sums.sum_x()[a] * (sums.sum_x()[b] / count_)) / scale : 0.0;
      }
  }

  /// Generalised cross-validation of `penalty`: mean over `targets` of the score above over the variance of
  /// the target. *Cost* features^3 operations, and features^2 for each target.
  double cross_validation(double penalty, std::span<const std::int32_t> targets) const {
    const auto factor = factorise(penalty);
    const std::int64_t f = sums_.features();
    const Eigen::MatrixXd inverse =
        factor.matrixL().solve(Eigen::MatrixXd::Identity(f, f));  // trace of G^-1 is its sum of squares
    const double strength = penalty * count_,
                 trace = static_cast<double>(f) - strength * inverse.squaredNorm(),
                 freedom = (std::max)(count_ - 1 - trace, 1e-9 * count_);
    const RidgeFit fit = solve(factor, penalty, targets);
    double sum = 0, used = 0;
    for (std::size_t t = 0; t < targets.size(); ++t) {
      const auto g = static_cast<std::size_t>(targets[t]);
      const double mean = sums_.sum_y()[g] / count_, whole = sums_.sum_yy()[g] - count_ * mean * mean;
      if (!(whole > 64 * std::numeric_limits<double>::epsilon() * sums_.sum_yy()[g])) continue;
      double explained = 0, length = 0;
      for (std::int64_t j = 0; j < f; ++j) {
        const double w =
            fit.coefficients(static_cast<std::int64_t>(t), j) * scale_[static_cast<std::size_t>(j)];
        explained += w * standardised_cross(targets[t], j);
        length += w * w;
      }
      sum += count_ * (std::max)(0.0, whole - explained - strength * length) / (freedom * freedom) /
             (whole / count_);
      ++used;
    }
    return used > 0 ? sum / used : 0.0;
  }

  /// The fit of some targets, or of all. \throws UsageError STOFM-4773 unless the penalty is a finite number
  /// > 0. *Cost* features^3 / 3 operations and 2 features^2 for each target, parallel over targets.
  RidgeFit fit(double penalty, std::span<const std::int32_t> targets) const {
    return solve(factorise(penalty), penalty, targets);
  }

 private:
  double standardised_cross(std::int32_t target, std::int64_t j) const {
    const auto column = static_cast<std::size_t>(j);
    return scale_[column] > 0
               ? (sums_.sum_yx()(target, j) -
                  sums_.sum_x()[column] * (sums_.sum_y()[static_cast<std::size_t>(target)] / count_)) /
                     scale_[column]
               : 0.0;
  }
  Eigen::LLT<Eigen::MatrixXd> factorise(double penalty) const {
    if (!(penalty > 0) || !std::isfinite(penalty))
      throw UsageError({"STOFM-4773", "", "[ridge_regression]", concat("a penalty of ", penalty),
                        "a finite number > 0", "Give penalties above 0."});
    Eigen::MatrixXd matrix = gram_;
    matrix.diagonal().array() += penalty * count_;
    return Eigen::LLT<Eigen::MatrixXd>(matrix);  // the lower half is read
  }
  RidgeFit solve(const Eigen::LLT<Eigen::MatrixXd>& factor, double penalty,
                 std::span<const std::int32_t> targets) const {
    const std::int64_t f = sums_.features();
    const auto count = static_cast<std::int64_t>(targets.size());
    RidgeFit fit{penalty,
                 {targets.begin(), targets.end()},
                 Tensor<double>({count, f}),
                 std::vector<double>(targets.size())};
    parallel_for(count, 32, [&](std::int64_t begin, std::int64_t end) {
      Eigen::MatrixXd w(f, end - begin);
      for (std::int64_t t = begin; t < end; ++t)
        for (std::int64_t j = 0; j < f; ++j)
          w(j, t - begin) = standardised_cross(targets[static_cast<std::size_t>(t)], j);
      factor.solveInPlace(w);
      for (std::int64_t t = begin; t < end; ++t) {
        double intercept =
            sums_.sum_y()[static_cast<std::size_t>(targets[static_cast<std::size_t>(t)])] / count_;
        for (std::int64_t j = 0; j < f; ++j) {
          const auto column = static_cast<std::size_t>(j);
          const double c = scale_[column] > 0 ? w(j, t - begin) / scale_[column] : 0.0;
          fit.coefficients.data()[t * f + j] = c;
          intercept -= c * (sums_.sum_x()[column] / count_);
        }
        fit.intercepts[static_cast<std::size_t>(t)] = intercept;
      }
    });
    return fit;
  }

  const RidgeSums& sums_;
  double count_;
  std::vector<double> scale_;  ///< 0: the column is constant and not used
  backend::EigenRowMajor<double> gram_;
};

/// How `fit` does on the cells of `held`, whose features and targets are those of the sums it was made of.
/// \throws ShapeError (STOFM-4713); DataError (4772) for no cells. *Cost* features^2 a target, parallel.
inline RidgeScores ridge_scores(const RidgeFit& fit, const RidgeSums& held) {
  const std::int64_t f = held.features();
  if (fit.coefficients.dim(1) != f)
    throw ShapeError({"STOFM-4713", "", "[ridge_scores]", concat(f, " features"),
                      concat(fit.coefficients.dim(1), " features"), "Give sums over the same features."});
  if (held.cells() < 1)
    throw DataError({"STOFM-4772", "", "[ridge_scores]", "0 cells", "at least one", "Hold some cells out."});
  const auto n = static_cast<double>(held.cells());
  const std::size_t count = fit.targets.size();
  RidgeScores scores{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
  Eigen::MatrixXd gram = held.sum_xx().selfadjointView<Eigen::Lower>();
  const Eigen::Map<const Eigen::VectorXd> x(held.sum_x().data(), f);
  parallel_for(static_cast<std::int64_t>(count), 32, [&](std::int64_t begin, std::int64_t end) {
    const auto w = backend::eigen_rows<const double>(fit.coefficients.data() + begin * f, end - begin, f, f);
    const Eigen::MatrixXd wg = w * gram;
    for (std::int64_t t = begin; t < end; ++t) {
      const auto at = static_cast<std::size_t>(t);
      const auto g = static_cast<std::size_t>(fit.targets[at]);
      const double b = fit.intercepts[at], wx = w.row(t - begin).dot(x),
                   pp = n * b * b + 2 * b * wx + wg.row(t - begin).dot(w.row(t - begin)), p = n * b + wx,
                   yp = b * held.sum_y()[g] + w.row(t - begin).dot(held.sum_yx().row(fit.targets[at])),
                   y = held.sum_y()[g], yy = held.sum_yy()[g];
      const double vy = yy / n - (y / n) * (y / n), vp = pp / n - (p / n) * (p / n),
                   cov = yp / n - (y / n) * (p / n), rounding = 64 * std::numeric_limits<double>::epsilon();
      scores.variance[at] = (std::max)(0.0, vy);
      scores.squared_error[at] = (std::max)(0.0, (yy - 2 * yp + pp) / n);
      scores.pearson[at] = vy > rounding * (yy / n) && vp > rounding * (pp / n)
                               ? (std::clamp)(cov / std::sqrt(vy * vp), -1.0, 1.0)
                               : std::numeric_limits<double>::quiet_NaN();
    }
  });
  return scores;
}

/// Predictions [N, targets of the fit] of `rows` [N, features]. \throws ShapeError (STOFM-4704, 4713). *Cost*
/// 2 N features targets, parallel. *Deterministic* yes, any thread count.
inline Tensor<float> ridge_predictions(const RidgeFit& fit, TensorView<const float> rows) {
  constexpr const char* op = "[ridge_predictions]";
  detail::require_rows(op, rows);
  const std::int64_t n = rows.dim(0), f = rows.dim(1), count = fit.coefficients.dim(0);
  if (f != fit.coefficients.dim(1))
    throw ShapeError({"STOFM-4713", "", op, concat(f, " features"),
                      concat(fit.coefficients.dim(1), " features"), "Give rows of the same kind."});
  Tensor<float> predicted({n, count});
  const auto w = backend::eigen_rows<const double>(fit.coefficients.data(), count, f, f);
  parallel_for(n, 128, [&](std::int64_t begin, std::int64_t end) {
    backend::EigenRowMajor<double> block(end - begin, f), product;
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < f; ++j) block(i - begin, j) = static_cast<double>(rows.row(i)[j]);
    product.noalias() = block * w.transpose();
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t t = 0; t < count; ++t)
        predicted.data()[i * count + t] =
            static_cast<float>(product(i - begin, t) + fit.intercepts[static_cast<std::size_t>(t)]);
  });
  return predicted;
}

}  // namespace stofm::tasks
