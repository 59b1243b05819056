// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A linear masked-cell model: each cell as a ridge regression predicts it from the means of its nearest 3,
/// 10, 30 and 100 other cells, fitted on the slices themselves, without labels.
///
///     W = argmin sum_i |x_i - mean x - W^T (r_i - mean r)|^2 + lambda |W|^2,    prediction = W^T (r_i - mean
///     r)
///
/// Means are those of each slice; lambda is `ridge` times the mean variance of the columns of r times N.
/// Other predictors, such as the model's own prediction (X_stofm_context), may stand beside the means in r;
/// then all columns of r are standardised within their slice. *Source* our own;
/// bench/tasks/zero_shot_regions.py measures it.

#include <Eigen/Cholesky>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/logistic_problem.hpp"
#include "stofm/tasks/neighbour_means.hpp"
#include "stofm/tasks/slice_scaling.hpp"

namespace stofm::tasks {

struct LinearContextOptions {
  std::vector<std::int64_t> rings{3, 10, 30, 100};  ///< ascending numbers of neighbours
  double ridge = 0;                                 ///< 0: 0.01, with other predictors 0.1
};

namespace detail {
#if STOFM_BODIES
/// rows^T [rows, targets] of centred rows, parts added in order.
inline backend::EigenRowMajor<double> centred_products(TensorView<const float> rows,
                                                       TensorView<const float> targets,
                                                       const std::vector<double>& row_mean,
                                                       const std::vector<double>& target_mean) {
  using Matrix = backend::EigenRowMajor<double>;
  const std::int64_t n = rows.dim(0), w = rows.dim(1), c = targets.dim(1);
  const std::int64_t per_part = task_part_rows(n);
  std::vector<Matrix> parts(static_cast<std::size_t>((n + per_part - 1) / per_part));
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    Matrix sum = Matrix::Zero(w, w + c), block;
    for (std::int64_t first = begin; first < end; first += 128) {
      const std::int64_t last = (std::min)(first + 128, end);
      block.resize(last - first, w + c);
      for (std::int64_t i = first; i < last; ++i) {
        for (std::int64_t j = 0; j < w; ++j)
          block(i - first, j) = static_cast<double>(rows.row(i)[j]) - row_mean[static_cast<std::size_t>(j)];
        for (std::int64_t j = 0; j < c; ++j)
          block(i - first, w + j) =
              static_cast<double>(targets.row(i)[j]) - target_mean[static_cast<std::size_t>(j)];
      }
      sum.noalias() += block.leftCols(w).transpose() * block;
    }
    parts[static_cast<std::size_t>(begin / per_part)] = std::move(sum);
  });
  Matrix total = Matrix::Zero(w, w + c);
  for (const Matrix& part : parts) total += part;
  return total;
}
inline std::vector<double> column_means(TensorView<const float> rows) {
  std::vector<double> mean =
      sums_over_rows(rows.dim(0), static_cast<std::size_t>(rows.dim(1)), [&](std::int64_t i, double* out) {
        for (std::int64_t j = 0; j < rows.dim(1); ++j) out[j] += static_cast<double>(rows.row(i)[j]);
      });
  for (double& m : mean) m /= (std::max)(1.0, static_cast<double>(rows.dim(0)));
  return mean;
}
#endif

}  // namespace detail

/// Predictions of `rows` (by slice [cells, C], one width) from their surroundings, by slice [cells, C]; one
/// model for all slices. `beside` (by slice [cells, B], or empty): other predictors of each cell. \throws
/// ShapeError (STOFM-4700, 4704, 4713); UsageError for rings that do not ascend (4706), no rings or a
/// negative ridge (4756); DataError for values that are not finite (4703). *Cost* neighbour_means, N (4 C)^2
/// operations; memory 16 C N bytes. *Deterministic* yes, any thread count.
STOFM_INLINE std::vector<Tensor<float>> linear_context(std::span<const io::Slice* const> slices,
                                                       std::span<const Tensor<float>> rows,
                                                       const LinearContextOptions& options = {},
                                                       std::span<const Tensor<float>> beside = {});

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::linear_context(std::span<const io::Slice* const> slices,
                                        std::span<const Tensor<float>> rows,
                                        const LinearContextOptions& options,
                                        std::span<const Tensor<float>> beside) -> std::vector<Tensor<float>> {
  using Matrix = backend::EigenRowMajor<double>;
  constexpr const char* op = "[linear_context]";
  detail::require_same_count(op, slices.size(), rows.size(), "slices and matrices");
  if (!beside.empty()) detail::require_same_count(op, slices.size(), beside.size(), "slices and predictors");
  if (!(options.ridge >= 0) || options.rings.empty())
    throw UsageError({"STOFM-4756", "", op,
                      concat("ridge ", options.ridge, ", ", options.rings.size(), " rings"),
                      "a ridge of 0 or more, at least one ring", "Leave them at their defaults."});
  const double ridge = options.ridge > 0 ? options.ridge : beside.empty() ? 0.01 : 0.1;
  if (rows.empty()) return {};
  const std::int64_t c = rows[0].rank() == 2 ? rows[0].dim(1) : 0;
  const std::int64_t w = c * static_cast<std::int64_t>(options.rings.size()) +
                         (beside.empty() || beside[0].rank() != 2 ? 0 : beside[0].dim(1));
  std::vector<Tensor<float>> rings;
  std::vector<std::vector<double>> row_means, ring_means;
  Matrix products = Matrix::Zero(w, w + c);
  for (std::size_t s = 0; s < rows.size(); ++s) {
    detail::require_rows(op, rows[s].view());
    detail::require_finite_rows(op, rows[s].view());
    if (rows[s].dim(1) != c)
      throw ShapeError({"STOFM-4713", slices[s]->path, op, concat(rows[s].dim(1), " columns"),
                        concat(c, " as the first slice has"), "Give rows of the same kind."});
    rings.push_back(neighbour_means(*slices[s], rows[s].view(), options.rings));
    if (!beside.empty()) {
      const Tensor<float> both = columns_beside(op, rings.back(), beside[s], w);
      rings.back() = standardised_by_slice(both.view());
    }
    row_means.push_back(detail::column_means(rows[s].view()));
    ring_means.push_back(detail::column_means(std::as_const(rings[s]).view()));
    products +=
        detail::centred_products(std::as_const(rings[s]).view(), rows[s].view(), ring_means[s], row_means[s]);
  }
  Matrix gram = products.leftCols(w);
  const double mean_variance = gram.trace() / static_cast<double>((std::max<std::int64_t>)(w, 1));
  gram.diagonal().array() += ridge * mean_variance + 1e-300;
  const Matrix weights = Eigen::LLT<Matrix>(gram).solve(products.rightCols(c));
  std::vector<Tensor<float>> result;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    Tensor<float> out({rows[s].dim(0), c});
    parallel_for(out.dim(0), 128, [&](std::int64_t begin, std::int64_t end) {
      Matrix block(end - begin, w);
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < w; ++j)
          block(i - begin, j) =
              static_cast<double>(rings[s].data()[i * w + j]) - ring_means[s][static_cast<std::size_t>(j)];
      const Matrix predicted = block * weights;
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < c; ++j)
          out.data()[i * c + j] = static_cast<float>(predicted(i - begin, j));
    });
    result.push_back(std::move(out));
  }
  return result;
}

}  // namespace stofm
#endif
