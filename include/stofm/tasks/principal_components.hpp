// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Any number of leading principal components: centred, not scaled; the sign of each is such that its loading
/// of largest magnitude is positive. (cluster/pca.hpp has the two of SPEC section 3.)

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/cluster/covariance.hpp"
#include "stofm/core/compiled.hpp"
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
/// the first) are left out, so there may be none. \throws ShapeError (STOFM-4704); UsageError for components
/// < 1 (4708); DataError for no rows (4701) or a value that is not finite (4703). *Cost* N C^2 operations in
/// double and 4/3 C^3; memory 16 C^2 doubles at most. *Deterministic* yes, any thread count.
STOFM_INLINE PrincipalComponents principal_components(TensorView<const float> rows,
                                                      const PrincipalComponentsOptions& options = {});

/// Scores [N, P] of `rows` [N, C]: (row - mean) . loading. \throws ShapeError STOFM-4713 for another width.
/// *Cost* N P C operations in double, parallel. *Deterministic* yes, any thread count.
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

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::principal_components(TensorView<const float> rows,
                                              const PrincipalComponentsOptions& options)
    -> PrincipalComponents {
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
  PrincipalComponents result;
  result.mean = cluster::column_means(n, c, row_of);
  std::vector<double> covariance = cluster::covariance(n, c, row_of, result.mean);
  for (std::int64_t i = 0; i < c; ++i)
    result.total_variance += covariance[static_cast<std::size_t>(i * c + i)];
  const std::int64_t wanted = (std::min)({options.components, c, (std::max<std::int64_t>)(n - 1, 0)});
  cluster::LeadingEigenpairs pairs = cluster::leading_directions(std::move(covariance), c, wanted);
  result.loadings = Tensor<double>({static_cast<std::int64_t>(pairs.values.size()), c});
  std::copy(pairs.vectors.begin(), pairs.vectors.end(), result.loadings.data());
  result.variances = std::move(pairs.values);
  return result;
}

}  // namespace stofm
#endif
