// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The two leading principal components of many rows: centred, not scaled; the sign of each is such that its
/// loading of largest magnitude is positive (SPEC section 3). Works on the rows in place, one block at a
/// time.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "stofm/cluster/covariance.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::cluster {

/// Scores and what they are made of.
struct Pca2 {
  Tensor<double> scores;         ///< [N, 2]: (row - mean) . loading
  std::vector<double> mean;      ///< [C]
  std::vector<double> loadings;  ///< [2, C], unit length; zeros for a component without variance
  double variances[2] = {0, 0};  ///< eigenvalues of the covariance (divided by N - 1)
};

/// PCA2 of `rows` [N, C] (float, rows dense, stride free).
/// A component whose variance is rounding (below C 2^-52 of the first; N < 2: both) has zero scores and
/// loadings. \throws ShapeError; DataError (STOFM-1222) for a value that is not finite. *Cost* three reads of
/// the rows and N C^2 operations in double; memory 16 C^2 doubles at most, plus the scores. *Deterministic*
/// yes, any thread count.
STOFM_INLINE Pca2 pca2(TensorView<const float> rows);

}  // namespace stofm::cluster

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto cluster::pca2(TensorView<const float> rows) -> Pca2 {
  if (rows.rank() != 2 || (rows.dim(0) > 0 && rows.dim(1) > 1 && rows.stride(1) != 1))
    throw ShapeError({"STOFM-1221", "", "[pca2]", layout_text(rows), "[rows, columns], rows dense",
                      "Give one row per cell."});
  const std::int64_t n = rows.dim(0), c = rows.dim(1);
  const auto width = static_cast<std::size_t>(c);
  Pca2 result;
  result.scores = Tensor<double>::zeros({n, 2});
  result.mean.assign(width, 0);
  result.loadings.assign(2 * width, 0);
  if (n == 0 || c == 0) return result;

  const auto row_of = [&rows](std::int64_t i) { return rows.row(i); };
  result.mean = column_means(n, c, row_of);
  for (std::size_t j = 0; j < width; ++j)
    if (!std::isfinite(result.mean[j]))
      throw DataError({"STOFM-1222", "", concat("[pca2] column ", j), "NaN or inf", "finite values",
                       "Drop or mend the rows that are not finite."});
  if (n < 2) return result;
  const LeadingEigenpairs pairs =
      leading_directions(covariance(n, c, row_of, result.mean), c, (std::min<std::int64_t>)(2, c));
  std::copy(pairs.vectors.begin(), pairs.vectors.end(), result.loadings.begin());
  std::copy(pairs.values.begin(), pairs.values.end(), result.variances);
  const double *first = result.loadings.data(), *second = first + width;
  parallel_for(n, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double a = 0, b = 0;
      for (std::int64_t j = 0; j < c; ++j) {
        const double value = static_cast<double>(rows.row(i)[j]) - result.mean[static_cast<std::size_t>(j)];
        a += value * first[j];
        b += value * second[j];
      }
      result.scores.data()[2 * i] = a;
      result.scores.data()[2 * i + 1] = b;
    }
  });
  return result;
}

}  // namespace stofm
#endif
