// SPDX-License-Identifier: MIT
#include "stofm/ops/linear_gradient.hpp"
#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
/// |found - exact| <= bound for every element, exact by plain loops in double over the sum a(i, k) b(k, j).
template <class T, class A, class B>
void check_product(CpuKernels level, const Tensor<T>& found, std::int64_t k, A a, B b, double start) {
  double worst = 0;
  for (std::int64_t i = 0; i < found.dim(0); ++i)
    for (std::int64_t j = 0; j < found.dim(1); ++j) {
      double sum = start, size = std::abs(start);
      for (std::int64_t p = 0; p < k; ++p) {
        const double term = static_cast<double>(a(i, p)) * static_cast<double>(b(p, j));
        sum += term;
        size += std::abs(term);
      }
      const double bound = product_bound<T>(level, k + 1) * size;
      const double error = std::abs(static_cast<double>(found(i, j)) - sum);
      worst = (std::max)(worst, bound == 0 ? (error == 0 ? 0.0 : 9.0) : error / bound);
    }
  CHECK(worst <= 1.0);
}
const std::vector<std::array<std::int64_t, 3>> sizes{{1, 1, 1},     {0, 3, 2},    {3, 0, 2},    {3, 2, 0},
                                                     {5, 3, 7},     {14, 16, 32}, {33, 17, 49}, {64, 33, 15},
                                                     {57, 100, 31}, {130, 65, 66}};
}  // namespace

TEST_CASE_TEMPLATE("products of operands as they are stored are right at every level", T, float, double) {
  at_every_level([](CpuKernels level) {
    std::uint64_t seed = 1;
    for (const auto& [m, k, n] : sizes)
      for (const bool gaps : {false, true}) {
        auto a = spiky<T>({m, k}, ++seed), b = spiky<T>({k, n}, ++seed);
        auto y = Tensor<T>::full({m, n}, T(7));
        if (gaps) a = with_gaps(a), b = with_gaps(b), y = with_gaps(y);
        ops::product_into<T>(y.view(), std::as_const(a).view(), std::as_const(b).view());
        check_product(level, y, k, std::as_const(a), std::as_const(b), 0.0);
      }
  });
}

TEST_CASE_TEMPLATE("sums of transposed products are right at every level and leave the gaps alone", T, float,
                   double) {
  at_every_level([](CpuKernels level) {
    std::uint64_t seed = 101;
    auto sizes_and_long = sizes;
    sizes_and_long.push_back({5, 2100, 3});
    for (const auto& [p, m, q] : sizes_and_long)
      for (const bool gaps : {false, true}) {
        auto a = spiky<T>({m, p}, ++seed), b = spiky<T>({m, q}, ++seed);
        auto wide = Tensor<T>::full({p, q + 5}, T(2));
        auto sum = gaps ? wide.slice(1, 2, 2 + q) : Tensor<T>::full({p, q}, T(2));
        if (gaps) a = with_gaps(a), b = with_gaps(b);
        ops::add_transposed_product_into<T>(sum.view(), std::as_const(a).view(), std::as_const(b).view());
        check_product(
            level, sum, m, [&a](std::int64_t i, std::int64_t r) { return std::as_const(a)(r, i); },
            std::as_const(b), 2.0);
        for (std::int64_t i = 0; gaps && i < p; ++i)
          for (const std::int64_t j : {std::int64_t{0}, std::int64_t{1}, q + 2, q + 4})
            CHECK(wide(i, j) == T(2));
      }
  });
}

TEST_CASE("products refuse shapes that do not meet") {
  Tensor<float> a({2, 3}), b({4, 5}), y({2, 5});
  CHECK_THROWS_AS(ops::product_into<float>(y.view(), std::as_const(a).view(), std::as_const(b).view()),
                  ShapeError);
  CHECK_THROWS_AS(
      ops::add_transposed_product_into<float>(y.view(), std::as_const(a).view(), std::as_const(b).view()),
      ShapeError);
  CHECK_THROWS_AS(
      ops::product_into<float>(y.view(), std::as_const(a).view(), b.slice(0, 0, 3).transpose(0, 1).view()),
      ShapeError);
}
