// SPDX-License-Identifier: MIT
#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/reduce.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "tests/autograd/rule_test.hpp"

using namespace stofm;
using namespace stofm::autograd;
using namespace stofm::test;

namespace {
/// Shapes of all kinds: empty, one element, odd, three dimensions, none.
const std::vector<Shape> shapes{{0, 3}, {3, 0},   {1, 1}, {1, 7},    {5, 1},
                                {3, 5}, {17, 33}, {4},    {2, 3, 5}, Shape{}};
}  // namespace

TEST_CASE("sum, difference, product and multiple have the gradients of their quotients") {
  std::uint64_t seed = 0;
  for (const Shape& shape : shapes) {
    const auto a = numbers(shape, ++seed), b = numbers(shape, ++seed);
    check_gradients("add", 1e-8, [](auto&, const Variables& x) { return add(x[0], x[1]); }, {a, b});
    check_gradients("sub", 1e-8, [](auto&, const Variables& x) { return sub(x[0], x[1]); }, {a, b});
    check_gradients("mul", 1e-8, [](auto&, const Variables& x) { return mul(x[0], x[1]); }, {a, b});
    check_gradients("scale", 1e-8, [](auto&, const Variables& x) { return scale(x[0], -2.5); }, {a});
  }
  for (const auto& [m, n] : {std::pair{3, 5}, {8, 2}, {1, 9}}) {
    const auto a = with_gaps(numbers({m, n}, ++seed)), b = as_transposed(numbers({m, n}, ++seed));
    check_gradients("add", 1e-8, [](auto&, const Variables& x) { return add(x[0], x[1]); }, {a, b});
    check_gradients("sub", 1e-8, [](auto&, const Variables& x) { return sub(x[1], x[0]); }, {a, b});
    check_gradients("mul", 1e-8, [](auto&, const Variables& x) { return mul(x[0], x[1]); }, {a, b});
    check_gradients("scale", 1e-8, [](auto&, const Variables& x) { return scale(x[0], 0.3); }, {b});
  }
}

TEST_CASE("the same variable on both sides gets both gradients") {
  const auto a = numbers({3, 4}, 1);
  check_gradients("mul", 1e-8, [](auto&, const Variables& x) { return mul(x[0], x[0]); }, {a});
  check_gradients("add", 1e-8, [](auto&, const Variables& x) { return add(x[0], x[0]); }, {a});
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::full({1}, 3.0));
  tape.backward(sub(mul(x, x), x));
  CHECK(tape.grad(x)(0) == 5.0);
}

TEST_CASE("a row that is added to every row gets the sum of the gradients") {
  std::uint64_t seed = 20;
  for (const auto& [m, n] : {std::pair{0, 3}, {3, 0}, {1, 1}, {1, 6}, {7, 1}, {5, 3}, {65, 67}, {130, 2}}) {
    const auto row = numbers({n}, ++seed);
    auto f = [](auto&, const Variables& x) { return add_row(x[0], x[1]); };
    check_gradients("add_row", 1e-8, f, {numbers({m, n}, ++seed), row});
    if (m > 1 && n > 1) {
      check_gradients("add_row", 1e-8, f, {with_gaps(numbers({m, n}, ++seed)), row});
      check_gradients("add_row", 1e-8, f,
                      {as_transposed(numbers({m, n}, ++seed)), numbers({n, 3}, seed).select(1, 1)});
    }
  }
}

TEST_CASE("activations have the gradients of their quotients away from the kink") {
  std::uint64_t seed = 40;
  for (const Shape& shape : shapes) {
    const auto a = away_from_zero(numbers(shape, ++seed));
    check_gradients("relu", 1e-8, [](auto&, const Variables& x) { return relu(x[0]); }, {a});
    check_gradients("gelu", 1e-7, [](auto&, const Variables& x) { return gelu(x[0]); }, {a});
    check_gradients(
        "identity", 1e-8,
        [](auto&, const Variables& x) { return scale(activation(x[0], ops::Activation::identity), 1.0); },
        {a});
  }
  const auto a = with_gaps(away_from_zero(numbers({6, 5}, 1))),
             b = as_transposed(away_from_zero(numbers({6, 5}, 2)));
  check_gradients("relu", 1e-8, [](auto&, const Variables& x) { return add(relu(x[0]), relu(x[1])); },
                  {a, b});
  check_gradients("gelu", 1e-7, [](auto&, const Variables& x) { return add(gelu(x[0]), gelu(x[1])); },
                  {a, b});
}

TEST_CASE("activations pass no gradient at and below zero, and never hide a NaN") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::from({4}, {0.0, -1.0, 2.0, nan}));
  tape.backward(relu(x), Tensor<double>::full({4}, 1.0));
  CHECK(tape.grad(x)(0) == 0.0);
  CHECK(tape.grad(x)(1) == 0.0);
  CHECK(tape.grad(x)(2) == 1.0);
  CHECK(std::isnan(tape.grad(x)(3)));
  Tape<double> second;
  const auto z = second.input(Tensor<double>::from({2}, {-1.0, 1.0}));
  second.backward(relu(z), Tensor<double>::full({2}, nan));
  CHECK(std::isnan(second.grad(z)(0)));
  CHECK(std::isnan(second.grad(z)(1)));
}

TEST_CASE("sums and means spread their gradient") {
  std::uint64_t seed = 60;
  for (const Shape& shape : shapes) {
    const auto a = numbers(shape, ++seed);
    check_gradients("sum", 1e-8, [](auto&, const Variables& x) { return sum(x[0]); }, {a});
    if (a.numel() > 0)
      check_gradients("mean", 1e-8, [](auto&, const Variables& x) { return mean(x[0]); }, {a});
    if (a.rank() == 2)
      check_gradients("row_sums", 1e-8, [](auto&, const Variables& x) { return row_sums(x[0]); }, {a});
  }
  for (const auto& a : {with_gaps(numbers({6, 5}, 1)), as_transposed(numbers({6, 5}, 2))}) {
    check_gradients("sum", 1e-8, [](auto&, const Variables& x) { return sum(x[0]); }, {a});
    check_gradients("mean", 1e-8, [](auto&, const Variables& x) { return mean(x[0]); }, {a});
    check_gradients("row_sums", 1e-8, [](auto&, const Variables& x) { return row_sums(x[0]); }, {a});
  }
}

TEST_CASE("the sum of nothing is 0, the mean of nothing is an error") {
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::zeros({0, 3}));
  const auto total = sum(x);
  CHECK(*total.value().data() == 0.0);
  tape.backward(total);
  CHECK(tape.grad(x).shape() == Shape{0, 3});
  try {
    mean(x);
    FAIL("accepted");
  } catch (const UsageError& error) {
    CHECK(error.code() == "STOFM-1421");
  }
}

TEST_CASE("reshape, transpose and slice pass gradients the way back") {
  std::uint64_t seed = 80;
  auto reshaped = [](auto&, const Variables& x) { return reshape(x[0], Shape{x[0].value().numel()}); };
  for (const Shape& shape : shapes) check_gradients("reshape", 1e-8, reshaped, {numbers(shape, ++seed)});
  check_gradients("reshape", 1e-8, reshaped, {as_transposed(numbers({4, 5}, ++seed))});
  for (const Shape& shape : {Shape{0, 3}, Shape{1, 1}, Shape{5, 3}, Shape{2, 3, 4}, Shape{2, 1, 4, 3}}) {
    const auto a = numbers(shape, ++seed);
    check_gradients("transpose", 1e-8, [](auto&, const Variables& x) { return transpose(x[0], 0, 1); }, {a});
    check_gradients("transpose", 1e-8,
                    [](auto&, const Variables& x) { return mul(transpose(x[0], 0, -1), x[1]); },
                    {a, numbers(a.transpose(0, -1).shape(), ++seed)});
  }
  for (const Shape& shape :
       {Shape{5}, Shape{5, 3}, Shape{5, 3, 4}, Shape{5, 2, 3, 2}, Shape{4, 0}, Shape{2, 2}}) {
    const auto a = numbers(shape, ++seed);
    for (int d = 0; d < a.rank(); ++d)
      check_gradients("slice", 1e-8,
                      [d](auto&, const Variables& x) {
                        const std::int64_t n = x[0].shape()[d];
                        const auto first = slice(x[0], d, 0, n / 2), all = slice(x[0], d, 0, n),
                                   none = slice(x[0], d, n, n);
                        return add(sum(mul(first, first)), add(sum(mul(all, all)), sum(none)));
                      },
                      {a});
  }
  check_gradients("slice", 1e-8, [](auto&, const Variables& x) { return slice(x[0], 1, 1, 4); },
                  {as_transposed(numbers({4, 5}, ++seed))});
}

TEST_CASE("concatenation cuts the gradient into the gradients of its parts") {
  std::uint64_t seed = 100;
  auto rows = [](auto&, const Variables& x) { return concat_rows<double>(x); };
  auto columns = [](auto&, const Variables& x) { return concat_columns<double>(x); };
  for (const auto& [m, n, k] :
       {std::array{0, 3, 2}, {3, 0, 1}, {1, 1, 1}, {4, 3, 5}, {65, 2, 3}, {2, 65, 1}}) {
    check_gradients("concat_rows", 1e-8, rows, {numbers({m, n}, ++seed), numbers({k, n}, ++seed)});
    check_gradients("concat_columns", 1e-8, columns,
                    {numbers({m, n}, ++seed), numbers({m, k}, ++seed), numbers({m, 0}, ++seed)});
  }
  check_gradients("concat_rows", 1e-8, rows,
                  {as_transposed(numbers({3, 4}, 1)), with_gaps(numbers({2, 4}, 2))});
  check_gradients("concat_columns", 1e-8, columns,
                  {as_transposed(numbers({3, 4}, 1)), with_gaps(numbers({3, 2}, 2))});
  check_gradients("concat_rows", 1e-8,
                  [](auto&, const Variables& x) {
                    return concat_rows<double>({x[0], x[0], x[1]});
                  },
                  {numbers({3, 4}, 1), numbers({2, 4}, 2)});
  CHECK_THROWS_AS(concat_rows<double>({}), UsageError);
  CHECK_THROWS_AS(concat_rows<double>({constant(numbers({2, 3}, 1)), constant(numbers({2, 4}, 1))}),
                  ShapeError);
}
