// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Means and covariance of many rows, a block at a time, and the directions of largest variance: what
/// principal components are made of (pca.hpp, tasks/principal_components.hpp).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "stofm/cluster/symmetric_eigen.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/core/exact_rounding.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::cluster {

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
STOFM_TARGET_AVX2 inline void add_gram_avx2(const double* rows, std::int64_t count, std::int64_t c,
                                            double* gram) {
  add_gram(rows, count, c, gram);
}
STOFM_TARGET_AVX512 inline void add_gram_avx512(const double* rows, std::int64_t count, std::int64_t c,
                                                double* gram) {
  add_gram(rows, count, c, gram);
}
#endif
STOFM_UNFUSED inline void add_gram_dispatched(const double* rows, std::int64_t count, std::int64_t c,
                                              double* gram) {
#if defined(STOFM_X86_KERNELS)
  const CpuKernels level = cpu_kernels();
  if (level >= CpuKernels::avx512) return add_gram_avx512(rows, count, c, gram);
  if (level == CpuKernels::avx2) return add_gram_avx2(rows, count, c, gram);
#endif
  add_gram(rows, count, c, gram);
}

/// Work on rows is cut into at most 16 parts whose borders depend on N only; their sums are added in order.
inline std::int64_t pca_part_rows(std::int64_t n) { return (std::max<std::int64_t>)(256, (n + 15) / 16); }
/// Sum over the parts of [0, n) of what `add` (first row, end, sums of the part) adds to `size` zeros.
template <class Add>
std::vector<double> sum_of_parts(std::int64_t n, std::size_t size, const Add& add) {
  const std::int64_t per_part = pca_part_rows(n);
  const auto parts = static_cast<std::size_t>((n + per_part - 1) / per_part);
  std::vector<double> sums(parts * size, 0.0);
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    add(begin, end, sums.data() + static_cast<std::size_t>(begin / per_part) * size);
  });
  for (std::size_t p = 1; p < parts; ++p)
    for (std::size_t e = 0; e < size; ++e) sums[e] += sums[p * size + e];
  sums.resize(size);
  return sums;
}
}  // namespace detail

/// Means [C] of rows 0 <= i < n, n > 0; row_of(i): pointer to C floats. Sums of differences to the first row,
/// so that identical rows have exactly no variance. *Cost* one read. *Deterministic* yes, any thread count.
template <class RowOf>
std::vector<double> column_means(std::int64_t n, std::int64_t c, const RowOf& row_of) {
  std::vector<double> mean = detail::sum_of_parts(
      n, static_cast<std::size_t>(c), [&](std::int64_t begin, std::int64_t end, double* sum) {
        for (std::int64_t i = begin; i < end; ++i)
          for (std::int64_t j = 0; j < c; ++j)
            sum[j] += static_cast<double>(row_of(i)[j]) - static_cast<double>(row_of(0)[j]);
      });
  for (std::int64_t j = 0; j < c; ++j) {
    double& value = mean[static_cast<std::size_t>(j)];
    value = static_cast<double>(row_of(0)[j]) + value / static_cast<double>(n);
  }
  return mean;
}

/// Covariance [C, C] of the same rows, divided by n - 1 (n = 1: zeros). *Cost* n C^2 operations in double,
/// parallel; memory 16 C^2 doubles at most. *Deterministic* yes, any thread count, kernel level and build.
template <class RowOf>
std::vector<double> covariance(std::int64_t n, std::int64_t c, const RowOf& row_of,
                               const std::vector<double>& mean) {
  const std::int64_t padded = (c + detail::gram_columns - 1) / detail::gram_columns * detail::gram_columns;
  const auto square = static_cast<std::size_t>(checked_mul(padded, padded, "covariance"));
  constexpr std::int64_t block_rows = 64;
  const std::vector<double> gram =
      detail::sum_of_parts(n, square, [&](std::int64_t begin, std::int64_t end, double* sum) {
        std::vector<double> block(static_cast<std::size_t>(block_rows * padded), 0.0);
        for (std::int64_t first = begin; first < end; first += block_rows) {
          const std::int64_t count = (std::min)(block_rows, end - first);
          for (std::int64_t r = 0; r < count; ++r)
            for (std::int64_t j = 0; j < c; ++j)
              block[static_cast<std::size_t>(r * padded + j)] =
                  static_cast<double>(row_of(first + r)[j]) - mean[static_cast<std::size_t>(j)];
          detail::add_gram_dispatched(block.data(), count, padded, sum);
        }
      });
  const auto width = static_cast<std::size_t>(c);
  const double divisor = static_cast<double>((std::max<std::int64_t>)(n - 1, 1));
  std::vector<double> matrix(width * width);
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = i; j < width; ++j)
      matrix[i * width + j] = matrix[j * width + i] =
          gram[i * static_cast<std::size_t>(padded) + j] / divisor;
  return matrix;
}

/// The `wanted` (<= C) directions of largest variance of a covariance [C, C], each with its loading of
/// largest magnitude positive; fewer where a variance is rounding (below C 2^-52 of the first) or zero.
inline LeadingEigenpairs leading_directions(std::vector<double> covariance, std::int64_t c,
                                            std::int64_t wanted) {
  LeadingEigenpairs pairs = leading_eigenpairs(std::move(covariance), c, wanted);
  const auto width = static_cast<std::size_t>(c);
  const double noise = pairs.values.empty() ? 0.0
                                            : pairs.values[0] * std::numeric_limits<double>::epsilon() *
                                                  static_cast<double>((std::max<std::int64_t>)(c, 16));
  std::size_t kept = 0;
  for (; kept < pairs.values.size() && pairs.values[kept] > noise && pairs.values[kept] > 0; ++kept) {
    double* v = pairs.vectors.data() + kept * width;
    std::size_t largest = 0;
    for (std::size_t j = 1; j < width; ++j)
      if (std::abs(v[j]) > std::abs(v[largest])) largest = j;
    if (v[largest] < 0) std::transform(v, v + width, v, [](double x) { return -x; });
  }
  pairs.values.resize(kept);
  pairs.vectors.resize(kept * width);
  return pairs;
}

}  // namespace stofm::cluster
