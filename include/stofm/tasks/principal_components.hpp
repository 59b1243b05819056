// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Any number of leading principal components: centred, not scaled; the sign of each is such that its loading
/// of largest magnitude is positive. (cluster/pca.hpp has the two of SPEC section 3.)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/cluster/pca.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// Directions of largest variance.
struct PrincipalComponents {
  std::vector<double> mean;       ///< [C]
  Tensor<double> loadings;        ///< [P, C], orthonormal rows
  std::vector<double> variances;  ///< [P], descending; divided by N - 1
  double total_variance = 0;      ///< of all columns

  std::int64_t count() const { return loadings.dim(0); }
};

struct PrincipalComponentsOptions {
  std::int64_t components = 30;  ///< at most; fewer where there are not so many columns, cells or directions
  std::int64_t sample = 0;       ///< rows looked at, evenly spaced; 0: all
};

/// Components of `rows` [N, C] (float, rows dense). Directions whose variance is rounding (below C 2^-52 of
/// the first) are left out, so there may be none. Throws: ShapeError (STOFM-4704); UsageError for components
/// < 1 (4708); DataError for no rows (4701) or a value that is not finite (4703). Cost: N C^2 operations in
/// double and 4/3 C^3; memory 16 C^2 doubles at most. Deterministic: yes, any thread count.
inline PrincipalComponents principal_components(TensorView<const float> rows,
                                                const PrincipalComponentsOptions& options = {}) {
  constexpr const char* op = "[principal_components]";
  detail::require_rows(op, rows);
  if (options.components < 1)
    throw UsageError({"STOFM-4708", "", op, concat("components ", options.components), "at least 1",
                      "Give a number of components."});
  detail::require_some(op, static_cast<std::size_t>(rows.dim(0)));
  detail::require_finite_rows(op, rows);
  const std::int64_t all = rows.dim(0), c = rows.dim(1);
  const std::int64_t n = options.sample > 0 ? (std::min)(options.sample, all) : all;
  const auto row_of = [&](std::int64_t i) { return rows.row(n == all ? i : i * (all / n)); };
  const std::int64_t per_part = cluster::detail::pca_part_rows(n);
  const auto width = static_cast<std::size_t>(c);
  const auto parts = static_cast<std::size_t>((n + per_part - 1) / per_part);
  PrincipalComponents result;
  result.mean.assign(width, 0.0);
  std::vector<double> sums(parts * width, 0.0);
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    double* sum = sums.data() + static_cast<std::size_t>(begin / per_part) * width;
    for (std::int64_t i = begin; i < end;
         ++i)  // differences to the first row: identical rows have no variance
      for (std::int64_t j = 0; j < c; ++j)
        sum[j] += static_cast<double>(row_of(i)[j]) - static_cast<double>(row_of(0)[j]);
  });
  for (std::size_t p = 0; p < parts; ++p)
    for (std::size_t j = 0; j < width; ++j) result.mean[j] += sums[p * width + j];
  for (std::size_t j = 0; j < width; ++j)
    result.mean[j] = static_cast<double>(row_of(0)[j]) + result.mean[j] / static_cast<double>(n);

  const std::int64_t lanes = cluster::detail::gram_columns, padded = (c + lanes - 1) / lanes * lanes;
  const auto square = static_cast<std::size_t>(checked_mul(padded, padded, "covariance"));
  std::vector<double> grams(parts * square, 0.0);
  constexpr std::int64_t block_rows = 64;
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    double* gram = grams.data() + static_cast<std::size_t>(begin / per_part) * square;
    std::vector<double> block(static_cast<std::size_t>(block_rows * padded), 0.0);
    for (std::int64_t first = begin; first < end; first += block_rows) {
      const std::int64_t count = (std::min)(block_rows, end - first);
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t j = 0; j < c; ++j)
          block[static_cast<std::size_t>(r * padded + j)] =
              static_cast<double>(row_of(first + r)[j]) - result.mean[static_cast<std::size_t>(j)];
      cluster::detail::add_gram_dispatched(block.data(), count, padded, gram);
    }
  });
  for (std::size_t p = 1; p < parts; ++p)
    for (std::size_t e = 0; e < square; ++e) grams[e] += grams[p * square + e];
  const double divisor = static_cast<double>((std::max<std::int64_t>)(n - 1, 1));
  std::vector<double> covariance(width * width);
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = i; j < width; ++j)
      covariance[i * width + j] = covariance[j * width + i] =
          grams[i * static_cast<std::size_t>(padded) + j] / divisor;
  std::vector<double>().swap(grams);
  for (std::size_t i = 0; i < width; ++i) result.total_variance += covariance[i * width + i];
  const std::int64_t wanted = (std::min)({options.components, c, (std::max<std::int64_t>)(n - 1, 0)});
  const cluster::LeadingEigenpairs pairs = cluster::leading_eigenpairs(std::move(covariance), c, wanted);
  const double noise = wanted > 0 ? pairs.values[0] * std::numeric_limits<double>::epsilon() *
                                        static_cast<double>((std::max<std::int64_t>)(c, 16))
                                  : 0.0;
  std::int64_t kept = 0;
  while (kept < wanted && pairs.values[static_cast<std::size_t>(kept)] > noise &&
         pairs.values[static_cast<std::size_t>(kept)] > 0)
    ++kept;
  result.loadings = Tensor<double>({kept, c});
  for (std::int64_t k = 0; k < kept; ++k) {
    const double* v = pairs.vectors.data() + static_cast<std::size_t>(k) * width;
    std::size_t largest = 0;
    for (std::size_t j = 1; j < width; ++j)
      if (std::abs(v[j]) > std::abs(v[largest])) largest = j;
    for (std::size_t j = 0; j < width; ++j)
      result.loadings.data()[k * c + static_cast<std::int64_t>(j)] = v[largest] < 0 ? -v[j] : v[j];
    result.variances.push_back(pairs.values[static_cast<std::size_t>(k)]);
  }
  return result;
}

/// Scores [N, P] of `rows` [N, C]: (row - mean) . loading. \throws ShapeError STOFM-4713 for another width.
/// Cost: N P C operations in double, parallel. Deterministic: yes, any thread count.
inline Tensor<float> component_scores(const PrincipalComponents& components, TensorView<const float> rows) {
  constexpr const char* op = "[component_scores]";
  detail::require_rows(op, rows);
  const std::int64_t n = rows.dim(0), c = rows.dim(1), p = components.count();
  if (c != static_cast<std::int64_t>(components.mean.size()))
    throw ShapeError({"STOFM-4713", "", op, concat(c, " columns"), concat(components.mean.size(), " columns"),
                      "Give rows of the same kind."});
  Tensor<float> scores({n, p});
  if (p == 0) return scores;
  const auto loadings = backend::eigen_rows<const double>(components.loadings.data(), p, c, c);
  parallel_for(n, 128, [&](std::int64_t begin, std::int64_t end) {
    backend::EigenRowMajor<double> block(end - begin, c), product;
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < c; ++j)
        block(i - begin, j) =
            static_cast<double>(rows.row(i)[j]) - components.mean[static_cast<std::size_t>(j)];
    product.noalias() = block * loadings.transpose();
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t k = 0; k < p; ++k)
        scores.data()[i * p + k] = static_cast<float>(product(i - begin, k));
  });
  return scores;
}

}  // namespace stofm::tasks
