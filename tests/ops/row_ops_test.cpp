// SPDX-License-Identifier: MIT
#include "stofm/ops/activation.hpp"
#include "stofm/ops/l2_normalize.hpp"
#include "stofm/ops/layer_norm.hpp"
#include "stofm/ops/reduce.hpp"
#include "stofm/ops/softmax.hpp"
#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
const float nan_float = std::numeric_limits<float>::quiet_NaN();
const float infinity = std::numeric_limits<float>::infinity();
}  // namespace

TEST_CASE_TEMPLATE("layer norm and its sum form match double loops at odd sizes", T, float, double) {
  at_every_level([](CpuKernels) {
    for (const std::int64_t n : {1, 2, 31, 33, 65, 256})
      for (const double eps : {1e-5, 1e-12}) {
        const auto x = spiky<T>({33, n}, 1), r = spiky<T>({33, n}, 2), gamma = spiky<T>({n}, 3),
                   beta = spiky<T>({n}, 4);
        const auto y = ops::layer_norm(x, gamma, beta, eps);
        auto z = Tensor<T>(Shape{33, n});
        ops::add_layer_norm_into(z.view(), with_gaps(x).view(), with_gaps(r).view(), gamma.view(),
                                 beta.view(), eps);
        for (std::int64_t i = 0; i < 33; ++i)
          for (const bool sum_form : {false, true}) {
            std::vector<double> row;
            double mean = 0, variance = 0, largest = 0;
            for (std::int64_t j = 0; j < n; ++j) {
              row.push_back(static_cast<double>(sum_form ? static_cast<T>(x(i, j) + r(i, j)) : x(i, j)));
              mean += row.back() / static_cast<double>(n);
              largest = std::max(largest, std::abs(row.back()));
            }
            for (const double v : row) variance += (v - mean) * (v - mean) / static_cast<double>(n);
            const double factor = 1 / std::sqrt(variance + eps);
            for (std::int64_t j = 0; j < n; ++j) {
              const double g = static_cast<double>(gamma(j)), b = static_cast<double>(beta(j));
              const double expected = (row[static_cast<std::size_t>(j)] - mean) * factor * g + b;
              // the mean and variance carry a few roundings of the largest element, amplified by the factor;
              // for the variance the error is relative: 8 roundings
              const double bound =
                  roundoff<T> * (8 * largest * factor * std::abs(g) + 8 * std::abs(expected - b) +
                                 2 * std::abs(expected) + 2 * std::abs(b));
              REQUIRE(std::abs(static_cast<double>(sum_form ? z(i, j) : y(i, j)) - expected) <= bound);
            }
          }
      }
  });
}

TEST_CASE("layer norm works in place, keeps NaN in its row, and refuses shapes") {
  at_every_level([](CpuKernels) {
    auto x = spiky<float>({20, 40}, 1);
    const auto gamma = Tensor<float>::full({40}, 1.0F), beta = Tensor<float>::zeros({40});
    const auto expected = ops::layer_norm(x, gamma, beta, 1e-5);
    ops::layer_norm_into(x.view(), x.view(), gamma.view(), beta.view(), 1e-5);
    CHECK(std::ranges::equal(x.span(), expected.span()));
    x(4, 39) = nan_float;
    const auto y = ops::layer_norm(x, gamma, beta, 1e-5);
    for (std::int64_t i = 0; i < 20; ++i) CHECK(std::isnan(y(i, 0)) == (i == 4));
    CHECK(ops::layer_norm(Tensor<float>(Shape{0, 40}), gamma, beta, 1e-5).shape() == Shape{0, 40});
    CHECK_THROWS_WITH_AS(ops::layer_norm(x, spiky<float>({39}, 1), beta, 1e-5),
                         doctest::Contains("gamma [39]"), ShapeError);
  });
}

TEST_CASE_TEMPLATE("softmax matches a double loop", T, float, double) {
  at_every_level([](CpuKernels) {
    for (const std::int64_t n : {1, 2, 31, 33, 65, 300}) {
      const auto x = spiky<T>({17, n}, 1);
      const auto y = ops::softmax(x);
      for (std::int64_t i = 0; i < 17; ++i) {
        double largest = -1e300, sum = 0;
        for (std::int64_t j = 0; j < n; ++j) largest = std::max(largest, static_cast<double>(x(i, j)));
        for (std::int64_t j = 0; j < n; ++j) sum += std::exp(static_cast<double>(x(i, j)) - largest);
        for (std::int64_t j = 0; j < n; ++j) {
          const double expected = std::exp(static_cast<double>(x(i, j)) - largest) / sum;
          // the rounding of x - max (at most 32) shifts the exponent; the sum has n roundings
          REQUIRE(std::abs(static_cast<double>(y(i, j)) - expected) <=
                  expected * roundoff<T> * (32 + 8 + static_cast<double>(n)));
        }
      }
    }
  });
}

TEST_CASE("softmax rules at the edges") {
  at_every_level([](CpuKernels) {
    const auto x = Tensor<float>::from({5, 3}, {-infinity, -infinity, -infinity, 0, nan_float, 0, 1e4F, -1e4F,
                                                1e4F, -infinity, 2, -infinity, infinity, 0, 0});
    const auto y = ops::softmax(x);
    for (std::int64_t j = 0; j < 3; ++j) {
      CHECK(y(0, j) == 0.0F);
      CHECK(std::isnan(y(1, j)));
    }
    CHECK(y(2, 0) == 0.5F);
    CHECK(y(2, 1) == 0.0F);
    CHECK(y(3, 0) == 0.0F);
    CHECK(y(3, 1) == 1.0F);
    CHECK(std::isnan(y(4, 0)));
    CHECK(ops::softmax(Tensor<float>(Shape{3, 0})).shape() == Shape{3, 0});
    CHECK(ops::softmax(Tensor<float>(Shape{0, 3})).shape() == Shape{0, 3});
    CHECK(ops::softmax(Tensor<float>::full({2, 2, 4}, 1.0F))(1, 1, 3) == 0.25F);
  });
}

TEST_CASE_TEMPLATE("activations match double formulas and keep NaN", T, float, double) {
  auto x = spiky<T>({9, 33}, 1);
  x(0, 0) = std::numeric_limits<T>::quiet_NaN();
  const auto relu = ops::activation(x, Activation::relu), gelu = ops::activation(x, Activation::gelu),
             same = ops::activation(x, Activation::identity);
  CHECK(std::isnan(relu(0, 0)));
  CHECK(std::isnan(gelu(0, 0)));
  for (std::int64_t i = 1; i < 9; ++i)
    for (std::int64_t j = 0; j < 33; ++j) {
      const double v = static_cast<double>(x(i, j));
      CHECK(same(i, j) == x(i, j));
      CHECK(static_cast<double>(relu(i, j)) == std::max(v, 0.0));
      CHECK(std::abs(static_cast<double>(gelu(i, j)) - 0.5 * v * std::erfc(-v / std::sqrt(2.0))) <=
            4 * roundoff<T> * std::abs(v));
    }
}

TEST_CASE_TEMPLATE("gelu at the ends of the line is its limit, on every level", T, float, double) {
  const T inf = std::numeric_limits<T>::infinity();
  at_every_level([inf](CpuKernels) {
    const auto y = ops::activation(Tensor<T>::from({1, 3}, {-inf, inf, T(-1e30)}), Activation::gelu);
    CHECK(y(0, 0) == T(0));
    CHECK(y(0, 1) == inf);
    CHECK(y(0, 2) == T(0));
  });
}

TEST_CASE("rows are scaled to length one, zero rows stay, huge ones do not overflow") {
  auto x = spiky<float>({6, 33}, 1);
  for (std::int64_t j = 0; j < 33; ++j) {
    x(1, j) = 0;
    x(2, j) *= 1e37F;
    x(3, j) *= 1e-37F;
  }
  x(4, 7) = nan_float;
  const auto y = ops::l2_normalize_rows(x);
  const auto norms = ops::row_norms(y);
  CHECK(norms(1) == 0.0F);
  CHECK(std::isnan(norms(4)));
  for (const std::int64_t i : {0, 2, 3, 5})
    CHECK(std::abs(static_cast<double>(norms(i)) - 1.0) <= 4 * roundoff<float>);
  CHECK(ops::l2_normalize_rows(Tensor<double>(Shape{0, 3})).shape() == Shape{0, 3});
}

TEST_CASE("reductions of rows and columns, strided and empty") {
  const auto x = Tensor<double>::from({2, 3}, {1, -2, 3, 4, 5, -6});
  CHECK(ops::row_sums(x)(1) == 3.0);
  CHECK(ops::row_means(x)(1) == 1.0);
  CHECK(ops::row_max(x)(0) == 3.0);
  CHECK(ops::row_norms(x)(0) == doctest::Approx(std::sqrt(14.0)));
  CHECK(ops::column_sums(x)(2) == -3.0);
  CHECK(ops::column_means(x)(0) == 2.5);
  const auto t = x.transpose(0, 1);
  CHECK(ops::row_sums(t)(2) == -3.0);
  CHECK(ops::column_sums(t)(1) == 3.0);
  const Tensor<double> nothing(Shape{2, 0});
  CHECK(ops::row_sums(nothing)(1) == 0.0);
  CHECK(ops::row_max(nothing)(1) == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(ops::row_means(nothing)(0)));
  CHECK(ops::column_sums(Tensor<double>(Shape{0, 2}))(1) == 0.0);
  CHECK(std::isnan(ops::row_max(Tensor<float>::from({1, 2}, {nan_float, 1}))(0)));
  CHECK_THROWS_WITH_AS(ops::row_sums(Tensor<double>(Shape{3})), doctest::Contains("[row_sums]: found x [3]"),
                       ShapeError);
}
