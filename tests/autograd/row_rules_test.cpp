// SPDX-License-Identifier: MIT
#include "stofm/autograd/rules/l2_normalize.hpp"
#include "stofm/autograd/rules/layer_norm.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/matmul.hpp"
#include "stofm/autograd/rules/softmax.hpp"
#include "tests/autograd/rule_test.hpp"

using namespace stofm;
using namespace stofm::autograd;
using namespace stofm::test;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
const std::vector<std::pair<int, int>> matrices{{0, 3}, {3, 0},  {1, 1},  {1, 8},  {7, 1},
                                                {5, 3}, {17, 9}, {66, 2}, {2, 130}};
}  // namespace

TEST_CASE("a linear layer has the gradients of its quotients") {
  std::uint64_t seed = 0;
  auto f = [](auto&, const Variables& x) { return linear(x[0], x[1], x[2]); };
  auto without_bias = [](auto&, const Variables& x) { return linear(x[0], x[1]); };
  for (const auto& [m, k, n] :
       {std::array{1, 1, 1}, {0, 3, 2}, {3, 0, 2}, {3, 2, 0}, {5, 3, 7}, {1, 9, 4}, {17, 1, 5}, {65, 5, 3}}) {
    const auto x = numbers({m, k}, ++seed), w = numbers({n, k}, ++seed), b = numbers({n}, ++seed);
    check_gradients("linear", 1e-8, f, {x, w, b});
    check_gradients("linear", 1e-8, without_bias, {x, w});
  }
  const auto w = numbers({4, 6}, ++seed), b = numbers({4}, ++seed);
  check_gradients("linear", 1e-8, f, {with_gaps(numbers({3, 6}, ++seed)), with_gaps(w), b});
  check_gradients(
      "linear", 1e-8, f,
      {as_transposed(numbers({3, 6}, ++seed)), as_transposed(w), numbers({4, 2}, 1).select(1, 0)});
}

TEST_CASE("a matrix product has the gradients of its quotients") {
  std::uint64_t seed = 20;
  auto f = [](auto&, const Variables& x) { return matmul(x[0], x[1]); };
  for (const auto& [m, k, n] :
       {std::array{1, 1, 1}, {0, 3, 2}, {3, 0, 2}, {3, 2, 0}, {5, 3, 7}, {1, 9, 4}, {17, 1, 5}, {65, 5, 3}})
    check_gradients("matmul", 1e-8, f, {numbers({m, k}, ++seed), numbers({k, n}, ++seed)});
  check_gradients("matmul", 1e-8, f,
                  {as_transposed(numbers({4, 3}, ++seed)), as_transposed(numbers({3, 5}, ++seed))});
  check_gradients("matmul", 1e-8, f,
                  {with_gaps(numbers({4, 3}, ++seed)), with_gaps(numbers({3, 5}, ++seed))});
  check_gradients("matmul", 1e-8, [](auto&, const Variables& x) { return matmul(x[0], x[0]); },
                  {numbers({4, 4}, 1)});
}

TEST_CASE("softmax and its logarithm have the gradients of their quotients") {
  std::uint64_t seed = 40;
  auto soft = [](auto&, const Variables& x) { return softmax(x[0]); };
  auto log_soft = [](auto&, const Variables& x) { return log_softmax(x[0]); };
  for (const auto& [m, n] : matrices) {
    check_gradients("softmax", 1e-7, soft, {numbers({m, n}, ++seed)});
    check_gradients("log_softmax", 1e-7, log_soft, {numbers({m, n}, ++seed)});
  }
  for (const Shape& shape : {Shape{5}, Shape{2, 3, 4}}) {
    check_gradients("softmax", 1e-7, soft, {numbers(shape, ++seed)});
    check_gradients("log_softmax", 1e-7, log_soft, {numbers(shape, ++seed)});
  }
  for (const auto& x : {with_gaps(numbers({4, 5}, 1)), as_transposed(numbers({4, 5}, 2))}) {
    check_gradients("softmax", 1e-7, soft, {x});
    check_gradients("log_softmax", 1e-7, log_soft, {x});
  }
}

TEST_CASE("D39: a row of a softmax that is masked out has no gradient, a partly masked one its own") {
  const auto x = Tensor<double>::from({2, 3}, {-infinity, -infinity, -infinity, 0.5, -infinity, 1.0});
  Tape<double> tape;
  const auto in = tape.input(x);
  const auto y = softmax(in);
  for (std::int64_t j = 0; j < 3; ++j) CHECK(y.value()(0, j) == 0.0);
  tape.backward(y, numbers({2, 3}, 1));
  for (std::int64_t j = 0; j < 3; ++j) CHECK(tape.grad(in)(0, j) == 0.0);
  CHECK(tape.grad(in)(1, 1) == 0.0);
  CHECK(tape.grad(in)(1, 0) != 0.0);
  CHECK(std::abs(tape.grad(in)(1, 0) + tape.grad(in)(1, 2)) <= 1e-15);
  Tape<double> second;
  const auto again = second.input(x);
  second.backward(log_softmax(again), Tensor<double>::from({2, 3}, {1, 2, 3, 1, 5, 2}));
  for (std::int64_t j = 0; j < 3; ++j) CHECK(second.grad(again)(0, j) == 0.0);
  CHECK(second.grad(again)(1, 1) == 0.0);
  CHECK(std::abs(second.grad(again)(1, 0) + second.grad(again)(1, 2)) <= 1e-15);
}

TEST_CASE("layer normalisation has the gradients of its quotients") {
  std::uint64_t seed = 60;
  auto f = [](auto&, const Variables& x) { return layer_norm(x[0], x[1], x[2], 1e-5); };
  auto with_residual = [](auto&, const Variables& x) { return add_layer_norm(x[0], x[1], x[2], x[3], 1e-5); };
  for (const auto& [m, n] :
       {std::pair{0, 3}, {3, 0}, {1, 1}, {1, 8}, {7, 1}, {5, 3}, {17, 9}, {66, 4}, {2, 130}, {4, 16}}) {
    const auto x = numbers({m, n}, ++seed), r = numbers({m, n}, ++seed), g = numbers({n}, ++seed),
               b = numbers({n}, ++seed);
    check_gradients("layer_norm", 1e-7, f, {x, g, b});
    check_gradients("add_layer_norm", 1e-7, with_residual, {x, r, g, b});
  }
  const auto g = numbers({6}, ++seed), b = numbers({6, 2}, ++seed).select(1, 1);
  check_gradients("layer_norm", 1e-7, f, {with_gaps(numbers({4, 6}, 1)), g, b});
  check_gradients("add_layer_norm", 1e-7, with_residual,
                  {as_transposed(numbers({4, 6}, 1)), with_gaps(numbers({4, 6}, 2)), g, b});
  check_gradients("add_layer_norm", 1e-7,
                  [](auto&, const Variables& x) { return add_layer_norm(x[0], x[0], x[1], x[2], 1e-12); },
                  {numbers({4, 6}, 1), g, b});
}

TEST_CASE("rows of length 1 have the gradients of their quotients, and none at zero") {
  std::uint64_t seed = 80;
  auto f = [](auto&, const Variables& x) { return l2_normalize_rows(x[0]); };
  for (const auto& [m, n] : matrices)
    check_gradients("l2_normalize_rows", 1e-7, f, {away_from_zero(numbers({m, n}, ++seed), 0.1)});
  for (const auto& x : {with_gaps(numbers({4, 5}, 1)), as_transposed(numbers({4, 5}, 2))})
    check_gradients("l2_normalize_rows", 1e-7, f, {x});
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::from({2, 2}, {0.0, 0.0, 3.0, 4.0}));
  tape.backward(l2_normalize_rows(x), Tensor<double>::full({2, 2}, 1.0));
  CHECK(tape.grad(x)(0, 0) == 0.0);
  CHECK(tape.grad(x)(0, 1) == 0.0);
  CHECK(std::abs(tape.grad(x)(1, 0) - (1.0 - 0.6 * 1.4) / 5.0) <= 1e-15);
}

TEST_CASE("NaN in gives NaN out in the gradients of the row rules") {
  auto poisoned = numbers({3, 4}, 1);
  poisoned(1, 2) = std::numeric_limits<double>::quiet_NaN();
  const auto gamma = Tensor<double>::full({4}, 1.0);
  auto check = [&](auto&& f) {
    Tape<double> tape;
    const auto x = tape.input(poisoned);
    tape.backward(f(x), Tensor<double>::full({3, 4}, 1.0));
    const auto grad = tape.grad(x);
    for (std::int64_t j = 0; j < 4; ++j) {
      CHECK(std::isnan(grad(1, j)));
      CHECK(std::isfinite(grad(0, j)));
    }
  };
  check([](const Variable<double>& x) { return softmax(x); });
  check([](const Variable<double>& x) { return log_softmax(x); });
  check([](const Variable<double>& x) { return l2_normalize_rows(x); });
  check([&](const Variable<double>& x) { return layer_norm(x, constant(gamma), constant(gamma), 1e-5); });
}
