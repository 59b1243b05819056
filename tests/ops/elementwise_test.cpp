// SPDX-License-Identifier: MIT
#include "stofm/ops/elementwise.hpp"

#include "stofm/ops/cast.hpp"
#include "stofm/ops/embedding.hpp"
#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

TEST_CASE_TEMPLATE("add, mul, scale and add_row match loops, also on views and in place", T, float, double) {
  const auto a = spiky<T>({33, 31}, 1), b = spiky<T>({33, 31}, 2), row = spiky<T>({31}, 3);
  const auto wide = with_gaps(a);
  const auto sum = ops::add(wide, b), product = ops::mul(a, b), twice = ops::scale(a, 2);
  auto shifted = a.clone();
  ops::add_row_into(shifted.view(), shifted.view(), row.view());
  for (std::int64_t i = 0; i < 33; ++i)
    for (std::int64_t j = 0; j < 31; ++j) {
      CHECK(sum(i, j) == a(i, j) + b(i, j));
      CHECK(product(i, j) == a(i, j) * b(i, j));
      CHECK(twice(i, j) == 2 * a(i, j));
      CHECK(shifted(i, j) == a(i, j) + row(j));
    }
  CHECK(ops::add(Tensor<T>(Shape{0}), Tensor<T>(Shape{0})).empty());
  CHECK(ops::add(Tensor<T>::full({2, 2, 2}, T(1)), Tensor<T>::full({2, 2, 2}, T(2)))(1, 1, 1) == T(3));
  CHECK_THROWS_WITH_AS(ops::add(a, row), doctest::Contains("[33, 31]"), ShapeError);
  CHECK_THROWS_AS(ops::add(a.transpose(0, 1), a.transpose(0, 1)), ShapeError);
}

TEST_CASE("rows are gathered and added by index, indices are checked") {
  const auto table = with_gaps(spiky<float>({7, 33}, 1));
  const std::vector<std::int32_t> indices{6, 0, 6, 3};
  const std::vector<std::int64_t> zeros(4, 0);
  auto y = ops::gather_rows(table, std::span<const std::int32_t>(indices));
  for (std::size_t i = 0; i < 4; ++i)
    for (std::int64_t j = 0; j < 33; ++j) CHECK(y(static_cast<std::int64_t>(i), j) == table(indices[i], j));
  ops::add_gathered_rows_into(y.view(), table.view(), std::span<const std::int64_t>(zeros));
  CHECK(y(2, 5) == table(6, 5) + table(0, 5));
  CHECK(ops::gather_rows(table, std::span<const std::int32_t>()).shape() == Shape{0, 33});
  for (const std::int32_t wrong : {-1, 7}) {
    const std::vector<std::int32_t> bad{0, wrong};
    CHECK_THROWS_WITH_AS(ops::gather_rows(table, std::span<const std::int32_t>(bad)),
                         doctest::Contains("at position 1, expected 0 to 6"), ShapeError);
  }
}

TEST_CASE("casts round to nearest and keep NaN") {
  const auto x = Tensor<double>::from(
      {2, 3}, {1.0, 1.0 + 0x1p-30, -3.5, 1e300, std::numeric_limits<double>::quiet_NaN(), 0});
  const auto f = ops::cast<float>(x);
  CHECK(f(0, 1) == 1.0F);
  CHECK(std::isinf(f(1, 0)));
  CHECK(std::isnan(f(1, 1)));
  const auto h = ops::cast<bfloat16>(f);
  CHECK(static_cast<float>(h(0, 2)) == -3.5F);
  CHECK(ops::cast<double>(h)(0, 2) == -3.5);
  CHECK(ops::cast<float>(x.transpose(0, 1))(2, 0) == -3.5F);
  CHECK(ops::cast<float>(Tensor<double>(Shape{0, 4})).shape() == Shape{0, 4});
}
