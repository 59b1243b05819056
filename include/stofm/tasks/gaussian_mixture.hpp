// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gaussian mixture by expectation and maximisation, started from k-means.
///
///     log p_k(x) = log w_k - 1/2 (C log 2 pi + |L_k^-1 (x - m_k)|^2) - sum log diag L_k,   S_k = L_k L_k^T
///
/// *Source* Dempster, Laird, Rubin (1977); kinds of covariance and the rule to stop as scikit-learn's
/// GaussianMixture.

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/tasks/kmeans.hpp"
#include "stofm/tasks/logistic_problem.hpp"

namespace stofm::tasks {

/// Shape of the clusters.
enum class Covariance {
  full,      ///< each its own
  tied,      ///< one for all, as mclust's EEE, which domain packages use
  diagonal,  ///< each its own, columns independent
};

struct GaussianMixtureOptions {
  std::int64_t components = 0;  ///< K, at least 1
  Covariance covariance = Covariance::full;
  double tolerance = 1e-4;  ///< of the mean log likelihood of a row, from step to step
  int max_iterations = 200;
  double regularisation = 1e-6;  ///< added to each variance, as a share of the mean variance of a column
  KMeansOptions start = {};      ///< restarts and seed of the first clusters; `stop`: once a step, too
};

struct GaussianMixture {
  std::vector<std::int32_t> labels;  ///< [N], most probable component; numbered by size
  Tensor<double> probabilities;      ///< [N, K], columns in the order of the labels
  std::vector<double> weights;       ///< [K]
  Tensor<double> means;              ///< [K, C]
  double log_likelihood = 0;         ///< mean of a row
  std::int64_t clusters = 0;         ///< components that are some row's most probable one; K as a rule
  int iterations = 0;
  bool converged = false;
};

namespace detail {
#if STOFM_BODIES
/// Parameters during the iterations.
struct MixtureState {
  using Matrix = backend::EigenRowMajor<double>;
  std::vector<double> weights;
  Matrix means;                      ///< [K, C]
  std::vector<Matrix> factors;       ///< L^-1 of each component, or one for all; diagonal: [1, C]
  std::vector<double> log_constant;  ///< of each component: log w - C/2 log 2 pi - sum log diag L

  const Matrix& factor(std::int64_t k) const {
    return factors[factors.size() == 1 ? 0 : static_cast<std::size_t>(k)];
  }
};

/// Weighed scatter of rows about the means, one matrix a component (or one in all), parts added in order.
inline std::vector<MixtureState::Matrix> mixture_scatter(TensorView<const float> rows,
                                                         const Tensor<double>& share,
                                                         const MixtureState::Matrix& means, Covariance kind) {
  using Matrix = MixtureState::Matrix;
  const std::int64_t n = rows.dim(0), width = rows.dim(1), k = share.dim(1), per_part = task_part_rows(n);
  const auto matrices = static_cast<std::size_t>(kind == Covariance::tied ? 1 : k);
  std::vector<std::vector<Matrix>> parts(static_cast<std::size_t>((n + per_part - 1) / per_part));
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Matrix> sums(matrices, Matrix::Zero(kind == Covariance::diagonal ? 1 : width, width));
    Matrix block;
    for (std::int64_t first = begin; first < end; first += 128) {
      const std::int64_t last = (std::min)(first + 128, end);
      for (std::int64_t c = 0; c < k; ++c) {
        block.resize(last - first, width);
        for (std::int64_t i = first; i < last; ++i) {
          const double root = std::sqrt(share.data()[i * k + c]);
          for (std::int64_t j = 0; j < width; ++j)
            block(i - first, j) = root * (static_cast<double>(rows.row(i)[j]) - means(c, j));
        }
        Matrix& sum = sums[matrices == 1 ? 0 : static_cast<std::size_t>(c)];
        if (kind == Covariance::diagonal)
          sum += block.cwiseProduct(block).colwise().sum();
        else
          sum.noalias() += block.transpose() * block;
      }
    }
    parts[static_cast<std::size_t>(begin / per_part)] = std::move(sums);
  });
  std::vector<Matrix> total = std::move(parts[0]);
  for (std::size_t p = 1; p < parts.size(); ++p)
    for (std::size_t m = 0; m < matrices; ++m) total[m] += parts[p][m];
  return total;
}

/// Weights, means and covariances from the shares [N, K] that components have in rows.
inline MixtureState maximise(TensorView<const float> rows, const Tensor<double>& share, Covariance kind,
                             double floor) {
  using Matrix = MixtureState::Matrix;
  const std::int64_t n = rows.dim(0), width = rows.dim(1), k = share.dim(1);
  const auto components = static_cast<std::size_t>(k);
  const std::vector<double> sums =
      sums_over_rows(n, components * static_cast<std::size_t>(width + 1), [&](std::int64_t i, double* out) {
        const float* row = rows.row(i);
        for (std::int64_t c = 0; c < k; ++c) {
          const double s = share.data()[i * k + c];
          double* own = out + c * (width + 1);
          for (std::int64_t j = 0; j < width; ++j) own[j] += s * static_cast<double>(row[j]);
          own[width] += s;
        }
      });
  MixtureState state;
  state.means = Matrix(k, width);
  std::vector<double> count(components);
  for (std::int64_t c = 0; c < k; ++c) {
    const double* own = sums.data() + c * (width + 1);
    count[static_cast<std::size_t>(c)] = own[width] + 10 * std::numeric_limits<double>::epsilon();
    state.weights.push_back(count[static_cast<std::size_t>(c)] / static_cast<double>(n));
    for (std::int64_t j = 0; j < width; ++j) state.means(c, j) = own[j] / count[static_cast<std::size_t>(c)];
  }
  std::vector<Matrix> scatter = mixture_scatter(rows, share, state.means, kind);
  std::vector<double> log_diagonal;
  for (std::size_t m = 0; m < scatter.size(); ++m) {
    Matrix& covariance = scatter[m];
    covariance /= kind == Covariance::tied ? static_cast<double>(n) : count[m];
    double sum = 0;
    if (kind == Covariance::diagonal) {
      covariance.array() += floor;
      sum = 0.5 * covariance.array().log().sum();
      state.factors.push_back(covariance.array().sqrt().inverse().matrix());
    } else {
      covariance.diagonal().array() += floor;
      const Eigen::LLT<Matrix> split(covariance);
      if (split.info() != Eigen::Success)
        throw DataError(
            {"STOFM-4721", "", "[gaussian_mixture]",
             concat("a covariance of component ", m, " that is not positive"), "rows that fill all columns",
             "Ask for fewer clusters, fewer components of the rows, or a tied or diagonal covariance."});
      const Matrix lower = split.matrixL();
      sum = lower.diagonal().array().log().sum();
      state.factors.push_back(lower.triangularView<Eigen::Lower>().solve(Matrix::Identity(width, width)));
    }
    log_diagonal.push_back(sum);
  }
  for (std::size_t c = 0; c < components; ++c)
    state.log_constant.push_back(std::log(state.weights[c]) -
                                 0.5 * static_cast<double>(width) * std::log(2 * std::numbers::pi) -
                                 log_diagonal[log_diagonal.size() == 1 ? 0 : c]);
  return state;
}

/// Shares of the components in each row. \return mean log likelihood.
inline double expect(TensorView<const float> rows, const MixtureState& state, Tensor<double>& share) {
  using Matrix = MixtureState::Matrix;
  const std::int64_t n = rows.dim(0), width = rows.dim(1), k = share.dim(1);
  std::vector<double> likelihood(static_cast<std::size_t>((n + 127) / 128), 0.0);
  parallel_for(n, 128, [&](std::int64_t begin, std::int64_t end) {
    Matrix block(end - begin, width), white;
    for (std::int64_t c = 0; c < k; ++c) {
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < width; ++j)
          block(i - begin, j) = static_cast<double>(rows.row(i)[j]) - state.means(c, j);
      const Matrix& factor = state.factor(c);
      if (factor.rows() == 1 && width > 1)
        white = block.array().rowwise() * factor.row(0).array();
      else
        white.noalias() = block * factor.transpose();
      for (std::int64_t i = begin; i < end; ++i)
        share.data()[i * k + c] =
            state.log_constant[static_cast<std::size_t>(c)] - 0.5 * white.row(i - begin).squaredNorm();
    }
    double total = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      double* row = share.data() + i * k;
      const double highest = *std::max_element(row, row + k);
      double sum = 0;
      for (std::int64_t c = 0; c < k; ++c) sum += std::exp(row[c] - highest);
      const double log_sum = highest + std::log(sum);
      for (std::int64_t c = 0; c < k; ++c) row[c] = std::exp(row[c] - log_sum);
      total += log_sum;
    }
    likelihood[static_cast<std::size_t>(begin / 128)] = total;
  });
  double total = 0;
  for (const double l : likelihood) total += l;
  return total / static_cast<double>(n);
}
#endif

}  // namespace detail

/// Mixture of K Gaussians over `rows` [N, C] (float, rows dense) from the clusters `start` [N], labels in
/// [0, K). \throws as gaussian_mixture.
STOFM_INLINE GaussianMixture gaussian_mixture_from(TensorView<const float> rows,
                                                   std::span<const std::int32_t> start,
                                                   const GaussianMixtureOptions& options);

/// Mixture of K Gaussians over `rows` [N, C], from k-means with K clusters.
/// \throws ShapeError (STOFM-4704); UsageError for options out of range (4722); DataError for no rows or
/// values that are not finite (1232), fewer distinct rows than K (4720), a covariance that is not positive
/// (4721). *Cost* 2 N K C^2 operations in double a step (diagonal: N K C), 10 to 100 steps; memory 16 K C^2
/// doubles and 8 N K bytes. *Deterministic* yes for a seed, any thread count.
STOFM_INLINE GaussianMixture gaussian_mixture(TensorView<const float> rows,
                                              const GaussianMixtureOptions& options);

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::gaussian_mixture_from(TensorView<const float> rows,
                                               std::span<const std::int32_t> start,
                                               const GaussianMixtureOptions& options) -> GaussianMixture {
  constexpr const char* op = "[gaussian_mixture]";
  detail::require_rows(op, rows);
  if (options.components < 1 || !(options.tolerance > 0) || options.max_iterations < 1 ||
      !(options.regularisation >= 0))
    throw UsageError({"STOFM-4722", "", op,
                      concat("components ", options.components, ", tolerance ", options.tolerance,
                             ", iterations ", options.max_iterations),
                      "numbers > 0", "Check the options."});
  detail::require_same_count(op, static_cast<std::size_t>(rows.dim(0)), start.size(), "rows and labels");
  detail::require_some(op, start.size());
  detail::require_labels(op, start, options.components);
  detail::require_finite_rows(op, rows);
  const std::int64_t n = rows.dim(0), k = options.components;
  Tensor<double> share = Tensor<double>::zeros({n, k});
  for (std::int64_t i = 0; i < n; ++i) share.data()[i * k + start[static_cast<std::size_t>(i)]] = 1.0;
  std::vector<std::int64_t> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  const Standardisation spread = detail::standardisation_of(rows, all);
  double variance = 0;
  for (const double s : spread.scale) variance += s * s / static_cast<double>(spread.scale.size());
  const double floor = options.regularisation * variance;
  GaussianMixture result;
  detail::MixtureState state;
  double before = -std::numeric_limits<double>::infinity();
  while (result.iterations < options.max_iterations && !result.converged) {
    options.start.stop();
    state = detail::maximise(rows, share, options.covariance, floor);
    result.log_likelihood = detail::expect(rows, state, share);
    result.converged = std::abs(result.log_likelihood - before) < options.tolerance;
    before = result.log_likelihood;
    ++result.iterations;
  }
  result.labels.resize(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    const double* row = share.data() + i * k;
    result.labels[static_cast<std::size_t>(i)] =
        static_cast<std::int32_t>(std::max_element(row, row + k) - row);
  }
  const std::vector<std::int32_t> old = result.labels;
  result.clusters = static_cast<std::int64_t>(cluster::number_by_size(result.labels).size());
  std::vector<std::int64_t> source(static_cast<std::size_t>(k), -1);
  std::vector<bool> placed(source.size(), false);
  for (std::size_t i = 0; i < old.size(); ++i) {
    source[static_cast<std::size_t>(result.labels[i])] = old[i];
    placed[static_cast<std::size_t>(old[i])] = true;
  }
  for (std::size_t c = 0, next = static_cast<std::size_t>(result.clusters); c < placed.size(); ++c)
    if (!placed[c]) source[next++] = static_cast<std::int64_t>(c);  // nobody's most probable one: last
  result.probabilities = Tensor<double>({n, k});
  result.means = Tensor<double>({k, rows.dim(1)});
  for (std::int64_t c = 0; c < k; ++c) {
    const std::int64_t from = source[static_cast<std::size_t>(c)];
    result.weights.push_back(state.weights[static_cast<std::size_t>(from)]);
    for (std::int64_t j = 0; j < rows.dim(1); ++j) result.means(c, j) = state.means(from, j);
    for (std::int64_t i = 0; i < n; ++i) result.probabilities.data()[i * k + c] = share.data()[i * k + from];
  }
  return result;
}

STOFM_INLINE auto tasks::gaussian_mixture(TensorView<const float> rows, const GaussianMixtureOptions& options)
    -> GaussianMixture {
  KMeansOptions start = options.start;
  start.clusters = options.components;
  return gaussian_mixture_from(rows, kmeans(rows, start).labels, options);
}

}  // namespace stofm
#endif
