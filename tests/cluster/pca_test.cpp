// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>

#include "stofm/cluster/pca.hpp"
#include "stofm/core/random.hpp"

using namespace stofm;

namespace {
Tensor<float> random_rows(std::int64_t n, std::int64_t c, std::uint64_t seed) {
  Random random(seed, 3);
  Tensor<float> rows({n, c});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < c; ++j)
      rows(i, j) = static_cast<float>(5 + random.normal() * (1.0 + 4.0 / static_cast<double>(1 + j % 7)) +
                                      (j > 0 ? 0.7 * static_cast<double>(rows(i, j - 1)) : 0.0));
  return rows;
}
std::vector<double> covariance(const Tensor<float>& rows) {
  const std::int64_t n = rows.dim(0), c = rows.dim(1);
  std::vector<double> mean(static_cast<std::size_t>(c), 0), result(static_cast<std::size_t>(c * c), 0);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < c; ++j)
      mean[static_cast<std::size_t>(j)] += static_cast<double>(rows(i, j)) / static_cast<double>(n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t a = 0; a < c; ++a)
      for (std::int64_t b = 0; b < c; ++b)
        result[static_cast<std::size_t>(a * c + b)] +=
            (static_cast<double>(rows(i, a)) - mean[static_cast<std::size_t>(a)]) *
            (static_cast<double>(rows(i, b)) - mean[static_cast<std::size_t>(b)]) /
            static_cast<double>(n - 1);
  return result;
}
}  // namespace

TEST_CASE("leading eigenpairs solve A v = l v, are orthonormal, and nothing is larger") {
  for (const std::int64_t n : {1, 2, 3, 5, 17, 64})
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      Random random(seed, static_cast<std::uint64_t>(n));
      const auto size = static_cast<std::size_t>(n);
      std::vector<double> a(size * size);
      for (std::size_t i = 0; i < size; ++i)
        for (std::size_t j = 0; j <= i;
             ++j)  // seed 0: a multiple of the identity; seed 1: rank one; seed 2: two blocks
          a[i * size + j] = a[j * size + i] = seed == 0   ? (i == j ? 3.0 : 0.0)
                                              : seed == 1 ? 1.0
                                              : seed == 2 ? (i % 2 == j % 2 ? 1.0 : 0.0)
                                                          : random.normal();
      const auto count = std::min<std::int64_t>(n, 3);
      const auto pairs = cluster::leading_eigenpairs(a, n, count);
      CAPTURE(n);
      CAPTURE(seed);
      for (std::int64_t p = 0; p < count; ++p) {
        const double* v = pairs.vectors.data() + static_cast<std::size_t>(p) * size;
        double residual = 0, norm = 0;
        for (std::size_t i = 0; i < size; ++i) {
          double sum = 0;
          for (std::size_t j = 0; j < size; ++j) sum += a[i * size + j] * v[j];
          residual = std::max(residual, std::abs(sum - pairs.values[static_cast<std::size_t>(p)] * v[i]));
          norm += v[i] * v[i];
        }
        CHECK(residual < 1e-12 * static_cast<double>(n + 10));
        CHECK(norm == doctest::Approx(1.0).epsilon(1e-12));
        for (std::int64_t q = 0; q < p; ++q) {
          double dot = 0;
          for (std::size_t i = 0; i < size; ++i)
            dot += v[i] * pairs.vectors[static_cast<std::size_t>(q) * size + i];
          CHECK(std::abs(dot) < 1e-12);
        }
        if (p > 0)
          CHECK(pairs.values[static_cast<std::size_t>(p)] <=
                pairs.values[static_cast<std::size_t>(p) - 1] + 1e-12);
      }
      // Trace of what is left, in the direction of random vectors: never above the last eigenvalue found.
      for (int draw = 0; draw < 10 && count == 3; ++draw) {
        std::vector<double> x(size);
        for (double& value : x) value = random.normal();
        for (std::int64_t p = 0; p < count; ++p) {
          const double* v = pairs.vectors.data() + static_cast<std::size_t>(p) * size;
          double dot = 0;
          for (std::size_t i = 0; i < size; ++i) dot += x[i] * v[i];
          for (std::size_t i = 0; i < size; ++i) x[i] -= dot * v[i];
        }
        double quotient = 0, norm = 0;
        for (std::size_t i = 0; i < size; ++i) {
          norm += x[i] * x[i];
          for (std::size_t j = 0; j < size; ++j) quotient += x[i] * a[i * size + j] * x[j];
        }
        if (norm > 1e-20) CHECK(quotient / norm <= pairs.values[2] + 1e-9);
      }
    }
}

TEST_CASE("scores are projections on the leading eigenvectors of the covariance, largest loading positive") {
  for (const std::int64_t c : {1, 2, 3, 15, 16, 33, 70})
    for (const std::int64_t n : {2, 3, 50, 700}) {
      const auto rows = random_rows(n, c, static_cast<std::uint64_t>(n + c));
      const auto pca = cluster::pca2(rows.view());
      const auto cov = covariance(rows);
      CAPTURE(c);
      CAPTURE(n);
      for (int k = 0; k < 2; ++k) {
        const double* v = pca.loadings.data() + k * c;
        double norm = 0, largest = 0, variance = 0, mean = 0;
        for (std::int64_t j = 0; j < c; ++j) {
          norm += v[j] * v[j];
          if (std::abs(v[j]) > std::abs(largest)) largest = v[j];
          double sum = 0;
          for (std::int64_t i = 0; i < c; ++i) sum += cov[static_cast<std::size_t>(j * c + i)] * v[i];
          CHECK(sum == doctest::Approx(pca.variances[k] * v[j]).scale(pca.variances[0]).epsilon(1e-10));
        }
        for (std::int64_t i = 0; i < n; ++i) mean += pca.scores(i, k) / static_cast<double>(n);
        for (std::int64_t i = 0; i < n; ++i)
          variance += std::pow(pca.scores(i, k) - mean, 2) / static_cast<double>(n - 1);
        CHECK(largest >= 0);
        CHECK(std::abs(mean) < 1e-10 * (1 + std::sqrt(pca.variances[0])));
        CHECK(variance == doctest::Approx(pca.variances[k]).scale(pca.variances[0]).epsilon(1e-10));
        if (n == 700 && k < c) CHECK(norm == doctest::Approx(1.0).epsilon(1e-12));
      }
    }
}

TEST_CASE("identical rows have no component, rows on a line one (D32 D33)") {
  auto same = Tensor<float>::full({500, 20}, 0.1F);
  const auto none = cluster::pca2(same.view());
  CHECK(none.variances[0] == 0);
  for (const double score : none.scores.span()) CHECK(score == 0);
  for (std::int64_t i = 0; i < 500; ++i)
    for (std::int64_t j = 0; j < 20; ++j) same(i, j) = static_cast<float>(i * (j + 1));  // exact in float
  const auto line = cluster::pca2(same.view());
  CHECK(line.variances[0] > 0);
  CHECK(line.variances[1] == 0);
  for (std::int64_t i = 0; i < 500; ++i) CHECK(line.scores(i, 1) == 0);
  for (const std::int64_t n : {0, 1}) {
    const auto few = cluster::pca2(random_rows(n, 8, 1).view());
    CHECK(few.scores.dim(0) == n);
    for (const double score : few.scores.span()) CHECK(score == 0);
  }
}

TEST_CASE("the same bits on 1, 2, 4 and 8 threads, and from a strided view") {
  const int before = thread_count();
  const auto rows = random_rows(3000, 40, 2);
  set_thread_count(1);
  const auto one = cluster::pca2(rows.view());
  for (const int threads : {2, 4, 8}) {
    set_thread_count(threads);
    const auto more = cluster::pca2(rows.view());
    CHECK(std::equal(one.scores.span().begin(), one.scores.span().end(), more.scores.span().begin()));
  }
  set_thread_count(before);
  Tensor<float> wide({3000, 64});
  for (std::int64_t i = 0; i < 3000; ++i) std::copy_n(rows.data() + 40 * i, 40, wide.data() + 64 * i + 5);
  const auto strided = cluster::pca2(wide.slice(1, 5, 45).view());
  CHECK(std::equal(one.scores.span().begin(), one.scores.span().end(), strided.scores.span().begin()));
}

TEST_CASE("a row that is not finite is refused (D31)") {
  auto rows = random_rows(10, 4, 1);
  rows(3, 2) = std::nanf("");
  CHECK_THROWS_AS(cluster::pca2(rows.view()), DataError);
}
