// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The two leading principal components of many rows: centred, not scaled; the sign of each is such that its
/// loading of largest magnitude is positive (SPEC section 3). Works on the rows in place, one block at a
/// time.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "stofm/backend/cpu/isa.hpp"
#include "stofm/cluster/symmetric_eigen.hpp"
#include "stofm/core/exact_rounding.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::cluster {

/// Scores and what they are made of.
struct Pca2 {
  Tensor<double> scores;         ///< [N, 2]: (row - mean) . loading
  std::vector<double> mean;      ///< [C]
  std::vector<double> loadings;  ///< [2, C], unit length; zeros for a component without variance
  double variances[2] = {0, 0};  ///< eigenvalues of the covariance (divided by N - 1)
};

namespace detail {
/// Eight doubles side by side: one AVX-512 register, or whatever the target has.
typedef double GramLanes __attribute__((vector_size(64), aligned(8), may_alias));
/// Columns are padded with zeros to a multiple of this.
inline constexpr std::int64_t gram_columns = 32;

/// gram += rows^T rows (blocks on and above the diagonal) for `count` centred rows of `c` doubles, c a
/// multiple of gram_columns. Four rows of the result by four vectors stay in registers. Each entry sums over
/// the rows in their order, each product rounded, so the bits depend neither on the width of the vectors nor
/// on the build.
[[gnu::always_inline]] inline void add_gram(const double* rows, std::int64_t count, std::int64_t c,
                                            double* gram) {
  STOFM_UNFUSED_BODY
  constexpr std::int64_t height = 4, width = gram_columns / 8;
  for (std::int64_t i = 0; i < c; i += height) {
    for (std::int64_t j = i - i % gram_columns; j < c; j += gram_columns) {
      GramLanes sum[height][width] = {};
      for (std::int64_t r = 0; r < count; ++r) {
        const double *left = rows + r * c + i, *right = rows + r * c + j;
#pragma GCC unroll 4
        for (std::int64_t a = 0; a < height; ++a) {
#pragma GCC unroll 4
          for (std::int64_t b = 0; b < width; ++b)
            sum[a][b] += left[a] * *reinterpret_cast<const GramLanes*>(right + 8 * b);
        }
      }
      for (std::int64_t a = 0; a < height; ++a)
        for (std::int64_t b = 0; b < width; ++b)
          *reinterpret_cast<GramLanes*>(gram + (i + a) * c + j + 8 * b) += sum[a][b];
    }
  }
}
#if defined(STOFM_X86_KERNELS)
STOFM_TARGET_AVX512 inline void add_gram_avx512(const double* rows, std::int64_t count, std::int64_t c,
                                                double* gram) {
  add_gram(rows, count, c, gram);
}
#endif
STOFM_UNFUSED inline void add_gram_dispatched(const double* rows, std::int64_t count, std::int64_t c,
                                              double* gram) {
#if defined(STOFM_X86_KERNELS)
  if (cpu_kernels() >= CpuKernels::avx512) return add_gram_avx512(rows, count, c, gram);
#endif
  add_gram(rows, count, c, gram);
}

/// Work on rows is cut into at most 16 parts whose borders depend on N only; their sums are added in order.
inline std::int64_t pca_part_rows(std::int64_t n) { return (std::max<std::int64_t>)(256, (n + 15) / 16); }
}  // namespace detail

/// PCA2 of `rows` [N, C] (float, rows dense, stride free).
/// A component whose variance is rounding (below C 2^-52 of the first; N < 2: both) has zero scores and
/// loadings. Throws: ShapeError; DataError (STOFM-1222) for a value that is not finite. Cost: three reads of
/// the rows and N C^2 operations in double; memory 16 C^2 doubles at most, plus the scores. Deterministic:
/// yes, any thread count.
inline Pca2 pca2(TensorView<const float> rows) {
  if (rows.rank() != 2 || (rows.dim(0) > 0 && rows.dim(1) > 1 && rows.stride(1) != 1))
    throw ShapeError({"STOFM-1221", "", "[pca2]", to_string(rows.shape), "[rows, columns], rows dense",
                      "Give one row per cell."});
  const std::int64_t n = rows.dim(0), c = rows.dim(1), per_part = detail::pca_part_rows(n);
  const auto width = static_cast<std::size_t>(c);
  const auto parts = static_cast<std::size_t>((n + per_part - 1) / per_part);
  Pca2 result;
  result.scores = Tensor<double>::zeros({n, 2});
  result.mean.assign(width, 0);
  result.loadings.assign(2 * width, 0);
  if (n == 0 || c == 0) return result;

  // Sums of differences to the first row: identical rows have exactly no variance.
  std::vector<double> sums(parts * width, 0);
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    double* sum = sums.data() + static_cast<std::size_t>(begin / per_part) * width;
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < c; ++j) {
        sum[j] += static_cast<double>(rows.row(i)[j]) - static_cast<double>(rows.row(0)[j]);
      }
  });
  for (std::size_t p = 0; p < parts; ++p)
    for (std::size_t j = 0; j < width; ++j) result.mean[j] += sums[p * width + j];
  for (std::size_t j = 0; j < width; ++j) {
    result.mean[j] = static_cast<double>(rows.row(0)[j]) + result.mean[j] / static_cast<double>(n);
    if (!std::isfinite(result.mean[j]))
      throw DataError({"STOFM-1222", "", concat("[pca2] column ", j), "NaN or inf", "finite values",
                       "Drop or mend the rows that are not finite."});
  }
  if (n < 2) return result;

  const std::int64_t padded = (c + detail::gram_columns - 1) / detail::gram_columns * detail::gram_columns;
  const auto square = static_cast<std::size_t>(checked_mul(padded, padded, "covariance"));
  std::vector<double> grams(parts * square, 0);
  constexpr std::int64_t block_rows = 64;
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    double* gram = grams.data() + static_cast<std::size_t>(begin / per_part) * square;
    std::vector<double> block(static_cast<std::size_t>(block_rows * padded), 0.0);
    for (std::int64_t first = begin; first < end; first += block_rows) {
      const std::int64_t count = (std::min)(block_rows, end - first);
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t j = 0; j < c; ++j)
          block[static_cast<std::size_t>(r * padded + j)] =
              static_cast<double>(rows.row(first + r)[j]) - result.mean[static_cast<std::size_t>(j)];
      detail::add_gram_dispatched(block.data(), count, padded, gram);
    }
  });
  for (std::size_t p = 1; p < parts; ++p)
    for (std::size_t e = 0; e < square; ++e) grams[e] += grams[p * square + e];
  std::vector<double> covariance(width * width);
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = i; j < width; ++j)
      covariance[i * width + j] = covariance[j * width + i] =
          grams[i * static_cast<std::size_t>(padded) + j] / static_cast<double>(n - 1);
  std::vector<double>().swap(grams);
  const LeadingEigenpairs pairs =
      leading_eigenpairs(std::move(covariance), c, (std::min<std::int64_t>)(2, c));
  const double noise = pairs.values[0] * std::numeric_limits<double>::epsilon() *
                       static_cast<double>((std::max<std::int64_t>)(c, 16));
  for (std::size_t k = 0; k < pairs.values.size(); ++k) {
    if (!(pairs.values[k] > noise) || !(pairs.values[k] > 0)) continue;
    const double* v = pairs.vectors.data() + k * width;
    std::size_t largest = 0;
    for (std::size_t j = 1; j < width; ++j)
      if (std::abs(v[j]) > std::abs(v[largest])) largest = j;
    const double sign = v[largest] < 0 ? -1 : 1;
    for (std::size_t j = 0; j < width; ++j) result.loadings[k * width + j] = sign * v[j];
    result.variances[k] = pairs.values[k];
  }
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

}  // namespace stofm::cluster
