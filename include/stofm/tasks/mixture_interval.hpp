// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How far the share of each type of one spot may be from the most likely one.
///
/// The log likelihood is taken as a parabola around its maximum: H is the observed information of the weights
/// that are not at 0, its inverse their covariance, carried over to shares by the delta method. A type at 0
/// has an upper end only: the largest x for which the parabola, which falls with the slope g <= 0 there,
/// loses no more than a type in the middle may:
///     x = V (g + sqrt(g^2 + z^2 / V)),   V = 1 / (H_tt - H_tF H_FF^-1 H_Ft)
/// Two things make it wider. Cells of one type differ, and so does the tissue from the reference: variances
/// are multiplied by Pearson's statistic of the fit a degree of freedom, where it is above 1. And where
/// shares are of cells: n cells of a type have counts with a variance of n times the square of what the
/// reference says of one. Coverage was measured on spots of known composition: docs/deconvolve.md. *Source*
/// McCullagh and Nelder, "Generalized Linear Models" (1989), quasi-likelihood.

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/tasks/mixture_weights.hpp"

namespace stofm::tasks::detail {

/// z with P(|normal| <= z) = coverage, by bisection on erf: coverage in (0, 1).
inline double normal_width(double coverage) {
  double low = 0, high = 40;
  for (int step = 0; step < 200; ++step) {
    const double middle = 0.5 * (low + high);
    (std::erf(middle / std::sqrt(2.0)) < coverage ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

/// What the interval of a spot needs besides its counts and weights.
struct MixtureIntervalOptions {
  std::span<const double> unit;     ///< [types] counts of a cell; 1: shares are of counts
  std::span<const double> spread;   ///< [types] standard deviation over mean of a cell's counts, 0 likewise
  std::int64_t genes = 0;           ///< that some type expresses
  double z = 1.645;                 ///< standard deviations to either side
  double prior_counts = 0;          ///< k
  std::span<const double> prior{};  ///< [types] q
};

struct MixtureInterval {
  std::vector<double> low, high;  ///< [types]
  double dispersion = 1;          ///< Pearson's statistic a degree of freedom, at least 1
};

/// \param w weights at the maximum. *Cost* entries x types^2 + types^3.
STOFM_INLINE MixtureInterval mixture_interval(const MixtureGenes& m, const SpotCounts& spot,
                                              const std::vector<double>& w, const MixtureIntervalOptions& o);

}  // namespace stofm::tasks::detail

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::detail::mixture_interval(const MixtureGenes& m, const SpotCounts& spot,
                                                  const std::vector<double>& w,
                                                  const MixtureIntervalOptions& o) -> MixtureInterval {
  const auto types = static_cast<Eigen::Index>(m.types.size());
  const auto at = [](Eigen::Index t) { return static_cast<std::size_t>(t); };
  Eigen::MatrixXd information = Eigen::MatrixXd::Zero(types, types);
  Eigen::VectorXd slope(types), weights(types), cells(types);
  double statistic = 0, sum = 0;
  for (Eigen::Index t = 0; t < types; ++t) {
    weights[t] = w[at(t)];
    cells[t] = w[at(t)] / o.unit[at(t)];
    sum += cells[t];
    slope[t] = -m.expected[at(t)];
    statistic += w[at(t)] * m.expected[at(t)];
  }
  for (std::size_t e = 0; e < spot.genes.size(); ++e) {
    const Eigen::Map<const Eigen::VectorXd> row(m.row(spot.genes[e]), types);
    const double mean = weights.dot(row), y = spot.values[e];
    slope += y / mean * row;
    information.selfadjointView<Eigen::Lower>().rankUpdate(row, y / (mean * mean));
    statistic += (y - mean) * (y - mean) / mean - mean;
  }
  information = information.selfadjointView<Eigen::Lower>();

  std::vector<Eigen::Index> free;
  for (Eigen::Index t = 0; t < types; ++t)
    if (w[at(t)] * m.expected[at(t)] > 1e-3 * spot.total) free.push_back(t);
  const auto count = static_cast<Eigen::Index>(free.size());
  MixtureInterval result{std::vector<double>(at(types), 0.0), std::vector<double>(at(types), 0.0), 1.0};
  const double degrees = static_cast<double>(o.genes - count);
  if (degrees >= 1) result.dispersion = (std::max)(1.0, statistic / degrees);
  // Two types with one signature make H singular; a trace of the diagonal keeps the inverse finite, and wide.
  Eigen::LLT<Eigen::MatrixXd> factor;
  for (const Eigen::Index t : free)
    if (!o.prior.empty()) information(t, t) += o.prior_counts * o.prior[at(t)] / (weights[t] * weights[t]);
  for (double trace = 1e-9; trace < 1; trace *= 10) {
    Eigen::MatrixXd kept = information(free, free);
    kept.diagonal() *= 1 + trace;
    factor.compute(kept);
    if (factor.info() == Eigen::Success) break;
  }
  const Eigen::MatrixXd covariance = factor.solve(Eigen::MatrixXd::Identity(count, count));

  // Shares of the free types: p = n / sum n with n = w / unit.
  Eigen::MatrixXd jacobian(count, count);
  Eigen::VectorXd cell_variance(count);
  for (Eigen::Index i = 0; i < count; ++i) {
    for (Eigen::Index j = 0; j < count; ++j)
      jacobian(i, j) = ((i == j ? 1.0 : 0.0) - cells[free[at(i)]] / sum) / sum;
    const double s = o.spread[at(free[at(i)])];
    cell_variance[i] = cells[free[at(i)]] * s * s;
  }
  for (Eigen::Index i = 0; i < count; ++i) {
    Eigen::VectorXd by_weight = jacobian.row(i).transpose();
    double variance = by_weight.array().square().matrix().dot(cell_variance);
    for (Eigen::Index j = 0; j < count; ++j) by_weight[j] /= o.unit[at(free[at(j)])];
    variance += result.dispersion * (std::max)(0.0, by_weight.dot(covariance * by_weight));
    const double share = cells[free[at(i)]] / sum, reach = o.z * std::sqrt(variance);
    result.low[at(free[at(i)])] = (std::max)(0.0, share - reach);
    result.high[at(free[at(i)])] = (std::min)(1.0, share + reach);
  }
  for (Eigen::Index t = 0; t < types; ++t) {
    if (w[at(t)] * m.expected[at(t)] > 1e-3 * spot.total) continue;
    const Eigen::VectorXd across = information(free, std::vector<Eigen::Index>{t});
    const Eigen::VectorXd moved = factor.solve(across);
    const double curvature = information(t, t) - across.dot(moved);
    const double v = 1.0 / (std::max)(curvature, 1e-9 * information(t, t) + 1e-300);
    const double g = (std::min)(0.0, slope[t]);
    const double root = std::sqrt(g * g + o.z * o.z * result.dispersion / v);
    // V (g + root) without cancellation; never more than all counts of the spot.
    const double x = (std::min)(o.z * o.z * result.dispersion / (root - g), spot.total);
    double others = 0;
    for (Eigen::Index i = 0; i < count; ++i)
      others += (std::max)(0.0, weights[free[at(i)]] - moved[i] * x) / o.unit[at(free[at(i)])];
    const double own = x / o.unit[at(t)];
    const double share = own + others > 0 ? own / (own + others) : 1.0;
    result.high[at(t)] = (std::min)(1.0, (std::max)(share, cells[t] / sum));
  }
  return result;
}

}  // namespace stofm
#endif
