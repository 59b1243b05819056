// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Multinomial logistic regression: the head that predicts regions or types from a frozen embedding.
///
///     p_i  = softmax(W x_i + b)                                    x_i: standardised features
///     minimise  sum_i s_i (-log p_i,y(i)) + |W|^2 / (2 c)          b is not penalised
///
/// Two classes have one logit, that of the second (W is one row). These are the objectives of scikit-learn's
/// LogisticRegression, whose optimum is reached by another way: Newton's directions from conjugate gradients
/// (products with the second derivative in single precision) with a line search; loss and gradient in double,
/// so that the end does not depend on the precision of the directions. *Source* Nocedal and Wright,
/// "Numerical Optimization", 7.1.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/tasks/logistic_problem.hpp"

namespace stofm::tasks {

/// Weight of each cell in the loss.
enum class ClassWeights {
  none,      ///< 1
  balanced,  ///< cells / (classes * cells of this class): each class weighs the same
};

struct LogisticRegressionOptions {
  double c = 1.0;  ///< inverse strength of the penalty; larger: closer to the training cells
  ClassWeights class_weights = ClassWeights::balanced;
  bool standardise = true;   ///< features to mean 0, deviation 1 over the training cells
  double tolerance = 1e-8;   ///< of the largest entry of the gradient of the mean loss
  int max_iterations = 100;  ///< Newton steps
};

/// How it went.
struct LogisticRegressionReport {
  bool converged = false;  ///< the gradient is below the tolerance
  int iterations = 0;
  std::int64_t curvature_products = 0;
  double loss = 0;         ///< objective divided by the sum of weights
  double gradient = 0;     ///< largest entry
  std::int64_t cells = 0;  ///< that had a label
};

/// A fitted head.
struct LogisticRegression {
  std::int64_t features = 0;
  std::int64_t classes = 0;           ///< columns of the probabilities
  std::vector<std::int32_t> present;  ///< classes that had cells, ascending: the only ones it can predict
  Standardisation standardisation;    ///< applied before the coefficients
  Tensor<double> coefficients;        ///< [present, features]; two classes: [1, features]
  std::vector<double> intercepts;     ///< one per row of the coefficients
  LogisticRegressionReport report;
};

namespace detail {
inline double inner(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
inline double largest_entry(const std::vector<double>& a) {
  double largest = 0;
  for (const double v : a) largest = (std::max)(largest, std::abs(v));
  return largest;
}

/// Direction d with |H d + g| <= `forcing` |g|, by conjugate gradients preconditioned with the mean curvature
/// of each logit.
inline std::vector<double> newton_direction(const LogisticProblem& problem,
                                            const LogisticProblem::Point& point, double forcing,
                                            std::int64_t& products) {
  const auto width = static_cast<std::size_t>(problem.features() + 1);
  std::vector<double> scale(problem.size()), direction(problem.size(), 0.0), residual(problem.size());
  for (std::size_t e = 0; e < scale.size(); ++e) {
    scale[e] = 1.0 / (point.curvature[e / width] + problem.penalty());
    residual[e] = -point.gradient[e];
  }
  const double target = forcing * std::sqrt(inner(residual, residual));
  std::vector<double> search(problem.size());
  double previous = 0;
  for (int step = 0; step < 300; ++step) {
    double fit = 0;
    for (std::size_t e = 0; e < scale.size(); ++e) fit += residual[e] * residual[e] * scale[e];
    const double carry = step == 0 ? 0.0 : fit / previous;
    for (std::size_t e = 0; e < scale.size(); ++e) search[e] = scale[e] * residual[e] + carry * search[e];
    previous = fit;
    const std::vector<double> bent = problem.curvature_times(point, search);
    ++products;
    const double curvature = inner(search, bent);
    if (!(curvature > 0)) break;  // rounding: what there is so far is a descent direction
    const double length = fit / curvature;
    for (std::size_t e = 0; e < scale.size(); ++e) {
      direction[e] += length * search[e];
      residual[e] -= length * bent[e];
    }
    if (std::sqrt(inner(residual, residual)) <= target) break;
  }
  return direction;
}

/// From zero to the minimum. \return the point there.
inline LogisticProblem::Point minimise(const LogisticProblem& problem,
                                       const LogisticRegressionOptions& options,
                                       LogisticRegressionReport& report) {
  LogisticProblem::Point point = problem.evaluate(std::vector<double>(problem.size(), 0.0));
  const double start = std::sqrt(inner(point.gradient, point.gradient));
  bool moved = true;
  while (moved && largest_entry(point.gradient) > options.tolerance &&
         report.iterations < options.max_iterations) {
    const double length = std::sqrt(inner(point.gradient, point.gradient));
    const double forcing = (std::clamp)(std::sqrt(length / start), 1e-3, 0.1);
    const std::vector<double> direction =
        newton_direction(problem, point, forcing, report.curvature_products);
    const double slope = inner(direction, point.gradient);
    moved = false;
    double step = 1.0;
    for (int attempt = 0; attempt < 30 && slope < 0 && !moved; ++attempt, step *= 0.5) {
      std::vector<double> to = point.coefficients;
      for (std::size_t e = 0; e < to.size(); ++e) to[e] += step * direction[e];
      LogisticProblem::Point next = problem.evaluate(std::move(to));
      // Near the end the loss changes by rounding only; there the gradient decides.
      const bool lower = next.loss <= point.loss + 1e-4 * step * slope;
      const bool level = std::abs(next.loss - point.loss) <= 1e-13 * std::abs(point.loss) &&
                         inner(next.gradient, next.gradient) < length * length;
      if (!lower && !level) continue;
      point = std::move(next);
      moved = true;
    }
    ++report.iterations;
  }
  report.loss = point.loss;
  report.gradient = largest_entry(point.gradient);
  report.converged = report.gradient <= options.tolerance;
  return point;
}
}  // namespace detail

/// Fits `rows` [N, C] (float, rows dense) to `labels` [N] in [0, classes); -1: no label, not used.
/// Classes without cells are allowed; the head gives them the probability 0. \throws ShapeError (STOFM-4700,
/// 4704); UsageError for options out of range (4712); DataError for a label out of range (4702), a value that
/// is not finite (4703), no labelled cells (4701), one class only (4710). Not converging is no error: see
/// `report`. *Cost* 4 N C classes operations in double a step, 5 to 20 steps, and as many again in single for
/// each of about 10 to 60 products a step; memory 8 N C bytes. *Deterministic* yes, any thread count.
STOFM_INLINE LogisticRegression fit_logistic_regression(TensorView<const float> rows,
                                                        std::span<const std::int32_t> labels,
                                                        std::int64_t classes,
                                                        const LogisticRegressionOptions& options = {});

/// Probabilities [N, classes] of `rows` [N, C]; rows sum to 1, classes that had no cells get 0.
/// \throws ShapeError for another width than that of the head (STOFM-4711) or another layout (4704);
/// DataError for a value that is not finite (4703). *Cost* 2 N C classes, parallel. *Deterministic* yes, any
/// thread count.
inline Tensor<double> predict_probabilities(const LogisticRegression& model, TensorView<const float> rows) {
  constexpr const char* op = "[predict_probabilities]";
  detail::require_rows(op, rows);
  if (rows.dim(1) != model.features)
    throw ShapeError({"STOFM-4711", "", op, concat(rows.dim(1), " features"),
                      concat(model.features, ", which the head was fitted to"),
                      "Give the embedding that the head was trained on."});
  detail::require_finite_rows(op, rows);
  const std::int64_t n = rows.dim(0), logits = model.coefficients.dim(0);
  Tensor<double> probabilities = Tensor<double>::zeros({n, model.classes});
  std::vector<std::int64_t> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  const auto w =
      backend::eigen_rows<const double>(model.coefficients.data(), logits, model.features, model.features);
  parallel_for(n, 128, [&](std::int64_t begin, std::int64_t end) {
    backend::EigenRowMajor<double> block, z;
    detail::standardised_block(rows, all, model.standardisation, begin, end, block);
    z.noalias() = block * w.transpose();
    for (std::int64_t i = begin; i < end; ++i) {
      double* row = z.data() + (i - begin) * logits;
      double* out = probabilities.data() + i * model.classes;
      for (std::int64_t r = 0; r < logits; ++r) row[r] += model.intercepts[static_cast<std::size_t>(r)];
      if (logits == 1) {
        out[model.present[1]] = detail::logistic(row[0]);
        out[model.present[0]] = detail::logistic(-row[0]);
        continue;
      }
      const double highest = *std::max_element(row, row + logits);
      double sum = 0;
      for (std::int64_t r = 0; r < logits; ++r) sum += row[r] = std::exp(row[r] - highest);
      for (std::int64_t r = 0; r < logits; ++r)
        out[model.present[static_cast<std::size_t>(r)]] = row[r] / sum;
    }
  });
  return probabilities;
}

/// The most probable class of each row of `probabilities` [N, classes]; of equals the lowest.
inline std::vector<std::int32_t> most_probable(TensorView<const double> probabilities) {
  detail::require_rows("[most_probable]", probabilities);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(probabilities.dim(0)));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double* row = probabilities.row(static_cast<std::int64_t>(i));
    labels[i] = static_cast<std::int32_t>(std::max_element(row, row + probabilities.dim(1)) - row);
  }
  return labels;
}

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::fit_logistic_regression(TensorView<const float> rows,
                                                 std::span<const std::int32_t> labels, std::int64_t classes,
                                                 const LogisticRegressionOptions& options)
    -> LogisticRegression {
  constexpr const char* op = "[fit_logistic_regression]";
  detail::require_rows(op, rows);
  detail::require_same_count(op, static_cast<std::size_t>(rows.dim(0)), labels.size(), "rows and labels");
  if (!(options.c > 0) || !std::isfinite(options.c) || !(options.tolerance > 0) || options.max_iterations < 1)
    throw UsageError(
        {"STOFM-4712", "", op,
         concat("c ", options.c, ", tolerance ", options.tolerance, ", iterations ", options.max_iterations),
         "finite numbers > 0", "Check the options."});
  std::vector<std::int64_t> listed, count(static_cast<std::size_t>((std::max<std::int64_t>)(classes, 0)), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == -1) continue;
    if (labels[i] < 0 || labels[i] >= classes)
      throw DataError({"STOFM-4702", "", concat(op, " cell ", i), concat("label ", labels[i]),
                       concat("a label in [0, ", classes, "), or -1 for none"),
                       "Number the classes from 0."});
    listed.push_back(static_cast<std::int64_t>(i));
    ++count[static_cast<std::size_t>(labels[i])];
  }
  detail::require_some(op, listed.size());
  detail::require_finite_rows(op, rows);
  LogisticRegression model;
  model.features = rows.dim(1);
  model.classes = classes;
  std::vector<std::int32_t> number(count.size(), -1);
  for (std::size_t c = 0; c < count.size(); ++c)
    if (count[c] > 0) {
      number[c] = static_cast<std::int32_t>(model.present.size());
      model.present.push_back(static_cast<std::int32_t>(c));
    }
  if (model.present.size() < 2)
    throw DataError({"STOFM-4710", "", op, concat("labels of class ", model.present[0], " only"),
                     "cells of at least two classes", "Add labelled cells of another class."});
  std::vector<std::int32_t> target;
  for (const std::int64_t i : listed)
    target.push_back(number[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])]);
  std::vector<double> weight(model.present.size(), 1.0);
  if (options.class_weights == ClassWeights::balanced)
    for (std::size_t c = 0; c < weight.size(); ++c)
      weight[c] = static_cast<double>(listed.size()) /
                  (static_cast<double>(weight.size()) *
                   static_cast<double>(count[static_cast<std::size_t>(model.present[c])]));
  const auto width = static_cast<std::size_t>(model.features);
  model.standardisation =
      options.standardise ? detail::standardisation_of(rows, listed)
                          : Standardisation{std::vector<double>(width, 0.0), std::vector<double>(width, 1.0)};
  model.report.cells = static_cast<std::int64_t>(listed.size());
  const detail::LogisticProblem problem(rows, std::move(listed), std::move(target), std::move(weight),
                                        model.standardisation, options.c);
  const auto point = detail::minimise(problem, options, model.report);
  model.coefficients = Tensor<double>({problem.logits(), model.features});
  for (std::int64_t r = 0; r < problem.logits(); ++r) {
    const double* row = point.coefficients.data() + r * (model.features + 1);
    std::copy_n(row, model.features, model.coefficients.data() + r * model.features);
    model.intercepts.push_back(row[model.features]);
  }
  if (model.intercepts.size() > 1) {  // softmax does not see their mean
    const double mean = std::accumulate(model.intercepts.begin(), model.intercepts.end(), 0.0) /
                        static_cast<double>(model.intercepts.size());
    for (double& b : model.intercepts) b -= mean;
  }
  return model;
}

}  // namespace stofm
#endif
