// SPDX-License-Identifier: MIT
#include <cmath>

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/functions.hpp"
#include "stofm/autograd/rules/reduce.hpp"
#include "tests/autograd/rule_test.hpp"

using namespace stofm;
using namespace stofm::autograd;
using namespace stofm::test;

namespace {
/// |x| + 0.3: for what needs positive numbers.
Tensor<double> positive(Tensor<double> x) {
  for (double& v : x.span()) v = std::abs(v) + 0.3;
  return x;
}
}  // namespace

TEST_CASE("functions of one number have the gradients of their quotients, in any shape and layout") {
  std::uint64_t seed = 0;
  for (const Shape& shape : {Shape{0, 3}, Shape{1, 1}, Shape{5, 7}, Shape{4}, Shape{2, 3, 5}, Shape{}}) {
    const auto x = numbers(shape, ++seed), p = positive(numbers(shape, ++seed));
    check_gradients("exp", 1e-8, [](auto&, const Variables& v) { return exp(v[0]); }, {x});
    check_gradients("log", 1e-8, [](auto&, const Variables& v) { return log(v[0]); }, {p});
    check_gradients("sqrt", 1e-8, [](auto&, const Variables& v) { return sqrt(v[0]); }, {p});
    check_gradients("tanh", 1e-8, [](auto&, const Variables& v) { return tanh(v[0]); }, {x});
    check_gradients("sigmoid", 1e-8, [](auto&, const Variables& v) { return sigmoid(v[0]); }, {x});
  }
  const auto turned = as_transposed(positive(numbers({3, 5}, 99)));
  check_gradients("log", 1e-8, [](auto&, const Variables& v) { return log(v[0]); }, {turned});
  check_gradients("tanh", 1e-8, [](auto&, const Variables& v) { return tanh(v[0]); }, {with_gaps(turned)});
}

TEST_CASE("the values are those of the standard library, and sigmoid does not overflow") {
  const auto x = Tensor<double>::from({5}, {-1000, -1, 0, 2, 1000});
  const Tensor<double> s = ops::sigmoid(x);
  CHECK(s(0) == 0.0);
  CHECK(s(1) == doctest::Approx(1 / (1 + std::exp(1.0))).epsilon(1e-15));
  CHECK(s(2) == 0.5);
  CHECK(s(4) == 1.0);
  CHECK(ops::exp(x)(3) == std::exp(2.0));
  CHECK(ops::log(x)(2) == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(ops::sqrt(x)(1)));
  CHECK(ops::tanh(x)(3) == std::tanh(2.0));
}

TEST_CASE("sum, difference, product and quotient broadcast, with the gradients of their quotients") {
  const std::vector<std::pair<Shape, Shape>> pairs{
      {{3, 4}, {4}},       {{4}, {3, 4}},       {{3, 1}, {1, 4}}, {{3, 4}, Shape{}}, {Shape{}, {2, 3}},
      {{2, 3, 4}, {3, 1}}, {{2, 1, 4}, {3, 1}}, {{1}, {5, 1}},    {{0, 3}, {3}},     {{3, 4}, {3, 4}}};
  std::uint64_t seed = 40;
  for (const auto& [left, right] : pairs) {
    const std::string shapes = to_string(left) + " and " + to_string(right);
    CAPTURE(shapes);
    const auto a = numbers(left, ++seed), b = numbers(right, ++seed),
               d = away_from_zero(numbers(right, ++seed), 0.3);
    check_gradients("add", 1e-8, [](auto&, const Variables& x) { return add(x[0], x[1]); }, {a, b});
    check_gradients("sub", 1e-8, [](auto&, const Variables& x) { return sub(x[0], x[1]); }, {a, b});
    check_gradients("mul", 1e-8, [](auto&, const Variables& x) { return mul(x[0], x[1]); }, {a, b});
    check_gradients("div", 1e-8, [](auto&, const Variables& x) { return div(x[0], x[1]); }, {a, d});
  }
  const auto a = as_transposed(numbers({3, 4}, 7)), row = away_from_zero(numbers({1, 4}, 8), 0.3);
  check_gradients("div", 1e-8, [](auto&, const Variables& x) { return div(x[0], x[1]); }, {a, row});
  const auto same = away_from_zero(numbers({3}, 9), 0.3);
  check_gradients("div", 1e-8, [](auto&, const Variables& x) { return div(x[0], x[0]); }, {same});
}

TEST_CASE("broadcast values are NumPy's, and shapes that do not fit are named") {
  const auto a = Tensor<float>::from({2, 1}, {1, 2}), b = Tensor<float>::from({3}, {10, 20, 30});
  const Tensor<float> y = ops::div(a, b);
  CHECK(y.shape() == Shape{2, 3});
  CHECK(y(1, 2) == 2.0F / 30.0F);
  const Tensor<float> sums = ops::sum_to(Tensor<float>::full({2, 3}, 1), {2, 1});
  CHECK(sums(1, 0) == 3.0F);
  try {
    add(constant(Tensor<float>::zeros({2, 3})), constant(Tensor<float>::zeros({2})));
    FAIL("[2, 3] and [2] were added");
  } catch (const ShapeError& error) {
    CHECK(error.parts().code == "STOFM-1108");
    CHECK(error.parts().found == "[2, 3] and [2]");
  }
}
