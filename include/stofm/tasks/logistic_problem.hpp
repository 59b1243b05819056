// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The objective of logistic regression, its gradient and its products with the second derivative. Used by
/// logistic_regression.hpp, where the formulas stand.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// Features less `mean`, divided by `scale` [C each].
struct Standardisation {
  std::vector<double> mean, scale;
};

namespace detail {
/// Work on rows is cut into at most 16 parts whose borders depend on N only; their sums are added in order.
inline std::int64_t task_part_rows(std::int64_t n) { return (std::max<std::int64_t>)(256, (n + 15) / 16); }

/// Sums over rows i of [0, n) of what `add(i, sums)` adds to `width` doubles; parallel, in a fixed order.
template <class Add>
std::vector<double> sums_over_rows(std::int64_t n, std::size_t width, Add&& add) {
  const std::int64_t per_part = task_part_rows(n);
  std::vector<std::vector<double>> parts(static_cast<std::size_t>((n + per_part - 1) / per_part));
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> sums(width, 0.0);
    for (std::int64_t i = begin; i < end; ++i) add(i, sums.data());
    parts[static_cast<std::size_t>(begin / per_part)] = std::move(sums);
  });
  std::vector<double> total(width, 0.0);
  for (const auto& part : parts)
    for (std::size_t j = 0; j < width; ++j) total[j] += part[j];
  return total;
}

/// Mean and standard deviation (over N, not N - 1) of the columns of the rows listed. A column that is
/// constant up to rounding gets the scale 1, as in scikit-learn.
inline Standardisation standardisation_of(TensorView<const float> rows,
                                          std::span<const std::int64_t> listed) {
  const auto width = static_cast<std::size_t>(rows.dim(1));
  const auto n = static_cast<std::int64_t>(listed.size());
  const auto count = static_cast<double>(n);
  Standardisation result;
  result.mean = sums_over_rows(n, width, [&](std::int64_t i, double* sums) {
    const float* row = rows.row(listed[static_cast<std::size_t>(i)]);
    for (std::size_t j = 0; j < width; ++j) sums[j] += static_cast<double>(row[j]);
  });
  for (double& m : result.mean) m /= count;
  result.scale = sums_over_rows(n, width, [&](std::int64_t i, double* sums) {
    const float* row = rows.row(listed[static_cast<std::size_t>(i)]);
    for (std::size_t j = 0; j < width; ++j) {
      const double d = static_cast<double>(row[j]) - result.mean[j];
      sums[j] += d * d;
    }
  });
  for (std::size_t j = 0; j < width; ++j) {
    const double variance = result.scale[j] / count, epsilon = std::numeric_limits<double>::epsilon();
    const double rounding = count * epsilon * result.mean[j];
    result.scale[j] = variance > count * epsilon * variance + rounding * rounding ? std::sqrt(variance) : 1.0;
  }
  return result;
}

/// Rows [begin, end) of the list, standardised, as doubles: [end - begin, C].
inline void standardised_block(TensorView<const float> rows, std::span<const std::int64_t> listed,
                               const Standardisation& by, std::int64_t begin, std::int64_t end,
                               backend::EigenRowMajor<double>& block) {
  const std::int64_t width = rows.dim(1);
  block.resize(end - begin, width);
  for (std::int64_t i = begin; i < end; ++i) {
    const float* row = rows.row(listed[static_cast<std::size_t>(i)]);
    double* out = block.data() + (i - begin) * width;
    for (std::int64_t j = 0; j < width; ++j) {
      const auto column = static_cast<std::size_t>(j);
      out[j] = (static_cast<double>(row[j]) - by.mean[column]) / by.scale[column];
    }
  }
}

/// log(1 + exp(z)) without overflow.
inline double log1p_exp(double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); }
inline double logistic(double z) {
  return z >= 0 ? 1.0 / (1.0 + std::exp(-z)) : std::exp(z) / (1.0 + std::exp(z));
}

/// Mean weighed loss + 1/2 penalty |w|^2 at coefficients [logits, C + 1], the intercept in the last column.
/// `logits`: one per class, or one alone for two classes.
class LogisticProblem {
 public:
  /// `target` [n]: class of each listed row, in [0, classes); `weight` [classes]; `penalty` for the mean
  /// loss.
  LogisticProblem(TensorView<const float> rows, std::vector<std::int64_t> listed,
                  std::vector<std::int32_t> target, std::vector<double> weight, Standardisation by, double c)
      : rows_(rows),
        listed_(std::move(listed)),
        target_(std::move(target)),
        weight_(std::move(weight)),
        by_(std::move(by)),
        logits_(weight_.size() == 2 ? 1 : static_cast<std::int64_t>(weight_.size())) {
    for (const std::int32_t t : target_) total_ += weight_[static_cast<std::size_t>(t)];
    penalty_ = 1.0 / (c * total_);
    // Single precision is enough for directions; the last feature is the 1 of the intercept.
    const std::int64_t n = cells(), width = rows.dim(1);
    single_ = Tensor<float>({n, width + 1});
    transposed_ = Tensor<float>({width + 1, n});
    parallel_for(n, 256, [&](std::int64_t begin, std::int64_t end) {
      backend::EigenRowMajor<double> block;
      standardised_block(rows_, listed_, by_, begin, end, block);
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t j = 0; j <= width; ++j)
          single_.data()[i * (width + 1) + j] = transposed_.data()[j * n + i] =
              j < width ? static_cast<float>(block.data()[(i - begin) * width + j]) : 1.0F;
    });
  }

  std::int64_t cells() const { return static_cast<std::int64_t>(listed_.size()); }
  std::int64_t features() const { return rows_.dim(1); }
  std::int64_t logits() const { return logits_; }
  std::size_t size() const { return static_cast<std::size_t>(logits_ * (features() + 1)); }
  double penalty() const { return penalty_; }
  const Standardisation& standardisation() const { return by_; }

  /// What is known at one point.
  struct Point {
    std::vector<double> coefficients, gradient;
    double loss = 0;
    Tensor<float> probability;      ///< [n, logits]: of each class, or of the second of two
    std::vector<double> curvature;  ///< [logits]: mean of weight p (1 - p)
  };

  /// Loss, gradient and probabilities, in double. *Cost* 4 n logits C operations.
  Point evaluate(std::vector<double> coefficients) const {
    const std::int64_t n = cells(), width = features(), per_part = task_part_rows(n);
    Point point;
    point.probability = Tensor<float>({n, logits_});
    const backend::EigenRowMajor<double> w =
        backend::eigen_rows<const double>(coefficients.data(), logits_, width, width + 1);
    struct Part {
      double loss = 0;
      backend::EigenRowMajor<double> gradient;
      std::vector<double> intercept, curvature;
    };
    std::vector<Part> parts(static_cast<std::size_t>((n + per_part - 1) / per_part));
    parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
      Part part;
      part.gradient.setZero(logits_, width);
      part.intercept.assign(static_cast<std::size_t>(logits_), 0.0);
      part.curvature = part.intercept;
      backend::EigenRowMajor<double> block, z;
      for (std::int64_t first = begin; first < end; first += block_rows) {
        const std::int64_t last = (std::min)(first + block_rows, end);
        standardised_block(rows_, listed_, by_, first, last, block);
        z.noalias() = block * w.transpose();
        for (std::int64_t i = first; i < last; ++i) {
          double* row = z.data() + (i - first) * logits_;
          for (std::int64_t r = 0; r < logits_; ++r)
            row[r] += coefficients[static_cast<std::size_t>(r * (width + 1) + width)];
          const std::int32_t own = target_[static_cast<std::size_t>(i)];
          const double weight = weight_[static_cast<std::size_t>(own)];
          part.loss += weight * loss_to_probabilities(row, own);
          for (std::int64_t r = 0; r < logits_; ++r) {
            const auto k = static_cast<std::size_t>(r);
            point.probability.data()[i * logits_ + r] = static_cast<float>(row[r]);
            part.curvature[k] += weight * row[r] * (1.0 - row[r]);
            row[r] = weight * (row[r] - (own == (logits_ == 1 ? 1 : r) ? 1.0 : 0.0));
            part.intercept[k] += row[r];
          }
        }
        part.gradient.noalias() += z.transpose() * block;
      }
      parts[static_cast<std::size_t>(begin / per_part)] = std::move(part);
    });
    point.gradient.assign(size(), 0.0);
    point.curvature.assign(static_cast<std::size_t>(logits_), 0.0);
    for (const Part& part : parts) {
      point.loss += part.loss;
      for (std::int64_t r = 0; r < logits_; ++r) {
        double* gradient = point.gradient.data() + r * (width + 1);
        for (std::int64_t j = 0; j < width; ++j) gradient[j] += part.gradient(r, j);
        gradient[width] += part.intercept[static_cast<std::size_t>(r)];
        point.curvature[static_cast<std::size_t>(r)] += part.curvature[static_cast<std::size_t>(r)];
      }
    }
    point.loss /= total_;
    for (double& c : point.curvature) c /= total_;
    double squares = 0;
    for (std::int64_t r = 0; r < logits_; ++r)
      for (std::int64_t j = 0; j <= width; ++j) {
        const auto e = static_cast<std::size_t>(r * (width + 1) + j);
        point.gradient[e] /= total_;
        if (j == width) continue;
        point.gradient[e] += penalty_ * coefficients[e];
        squares += coefficients[e] * coefficients[e];
      }
    point.loss += 0.5 * penalty_ * squares;
    point.coefficients = std::move(coefficients);
    return point;
  }

  /// Second derivative at `point` times `direction`, in single precision. *Cost* 4 n logits C operations.
  std::vector<double> curvature_times(const Point& point, const std::vector<double>& direction) const {
    const std::int64_t n = cells(), width = features() + 1;
    Tensor<float> v({logits_, width}), along({n, logits_}), back({logits_, n}), product({width, logits_});
    for (std::size_t e = 0; e < direction.size(); ++e) v.data()[e] = static_cast<float>(direction[e]);
    ops::linear_into<float>(along.view(), std::as_const(single_).view(), std::as_const(v).view());
    parallel_for(n, 1024, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float *p = point.probability.data() + i * logits_, *u = along.data() + i * logits_;
        const auto weight =
            static_cast<float>(weight_[static_cast<std::size_t>(target_[static_cast<std::size_t>(i)])]);
        float mean = 0;
        for (std::int64_t r = 0; r < logits_; ++r) mean += p[r] * u[r];
        for (std::int64_t r = 0; r < logits_; ++r) back.data()[r * n + i] = weight * p[r] * (u[r] - mean);
      }
    });
    ops::linear_into<float>(product.view(), std::as_const(transposed_).view(), std::as_const(back).view());
    std::vector<double> result(direction.size());
    for (std::int64_t r = 0; r < logits_; ++r)
      for (std::int64_t j = 0; j < width; ++j) {
        const auto e = static_cast<std::size_t>(r * width + j);
        result[e] = static_cast<double>(product.data()[j * logits_ + r]) / total_ +
                    (j + 1 < width ? penalty_ * direction[e] : 0.0);
      }
    return result;
  }

 private:
  static constexpr std::int64_t block_rows = 128;

  /// Turns logits into probabilities. \return -log of that of class `own`.
  double loss_to_probabilities(double* row, std::int32_t own) const {
    if (logits_ == 1) {
      const double z = row[0];
      row[0] = logistic(z);
      return log1p_exp(own == 1 ? -z : z);
    }
    double highest = row[0], sum = 0;
    for (std::int64_t r = 1; r < logits_; ++r) highest = (std::max)(highest, row[r]);
    const double own_logit = row[own] - highest;
    for (std::int64_t r = 0; r < logits_; ++r) sum += row[r] = std::exp(row[r] - highest);
    for (std::int64_t r = 0; r < logits_; ++r) row[r] /= sum;
    return std::log(sum) - own_logit;
  }

  TensorView<const float> rows_;
  std::vector<std::int64_t> listed_;
  std::vector<std::int32_t> target_;
  std::vector<double> weight_;
  Standardisation by_;
  std::int64_t logits_;
  double total_ = 0, penalty_ = 0;
  Tensor<float> single_, transposed_;
};
}  // namespace detail

}  // namespace stofm::tasks
