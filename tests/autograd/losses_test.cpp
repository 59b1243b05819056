// SPDX-License-Identifier: MIT
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/ops/cast.hpp"
#include "tests/autograd/rule_test.hpp"

using namespace stofm;
using namespace stofm::autograd;
using namespace stofm::test;

namespace {
const std::vector<std::pair<int, int>> matrices{{0, 3},  {1, 1},  {1, 8},   {7, 1}, {5, 3},
                                                {17, 9}, {66, 2}, {2, 130}, {4, 5}};
}

TEST_CASE("mean squared error has the gradients of its quotients") {
  std::uint64_t seed = 0;
  for (const auto& [m, n] : matrices) {
    const auto target = numbers({m, n}, ++seed);
    for (const Reduction how : {Reduction::mean, Reduction::sum})
      check_gradients("mse", 1e-8, [&](auto&, const Variables& x) { return mse(x[0], target, how); },
                      {numbers({m, n}, ++seed)});
  }
  const auto target = as_transposed(numbers({4, 5}, 1));
  check_gradients("mse", 1e-8, [&](auto&, const Variables& x) { return mse(x[0], target); },
                  {with_gaps(numbers({4, 5}, 2))});
  check_gradients("mse", 1e-8, [&](auto&, const Variables& x) { return mse(x[0], numbers({7}, 1)); },
                  {numbers({7}, 2)});
}

TEST_CASE("cosine loss has the gradients of its quotients") {
  std::uint64_t seed = 20;
  for (const auto& [m, n] : matrices) {
    const auto target = away_from_zero(numbers({m, n}, ++seed), 0.1);
    for (const Reduction how : {Reduction::mean, Reduction::sum})
      check_gradients("cosine_loss", 1e-7,
                      [&](auto&, const Variables& x) { return cosine_loss(x[0], target, how); },
                      {away_from_zero(numbers({m, n}, ++seed), 0.1)});
  }
  check_gradients("cosine_loss", 1e-7,
                  [](auto&, const Variables& x) {
                    return cosine_loss(x[0], as_transposed(numbers({4, 5}, 1)));
                  },
                  {as_transposed(numbers({4, 5}, 2))});
}

TEST_CASE("cross entropy has the gradients of its quotients, with and without weights") {
  std::uint64_t seed = 40;
  for (const auto& [m, n] : matrices) {
    std::vector<std::int32_t> targets;
    std::vector<double> weights;
    for (int i = 0; i < m; ++i) {
      targets.push_back((i * 7 + 2) % n);
      weights.push_back(i % 3 == 1 ? 0.0 : 0.5 + 0.25 * i);
    }
    for (const Reduction how : {Reduction::mean, Reduction::sum}) {
      check_gradients("cross_entropy", 1e-7,
                      [&](auto&, const Variables& x) {
                        return cross_entropy<double, std::int32_t>(x[0], targets, {}, how);
                      },
                      {numbers({m, n}, ++seed)});
      check_gradients("cross_entropy", 1e-7,
                      [&](auto&, const Variables& x) {
                        return cross_entropy<double, std::int32_t>(x[0], targets, weights, how);
                      },
                      {numbers({m, n}, ++seed)});
    }
  }
  const std::vector<std::int64_t> targets{0, 4, 2, 2};
  for (const auto& x : {with_gaps(numbers({4, 5}, 1)), as_transposed(numbers({4, 5}, 2))})
    check_gradients("cross_entropy", 1e-7,
                    [&](auto&, const Variables& in) { return cross_entropy(in[0], targets); }, {x});
}

TEST_CASE("the values of the losses are those of their formulas") {
  const auto logits = constant(Tensor<double>::from({2, 2}, {0.0, 0.0, 1.0, 2.0}));
  const std::vector<int> targets{0, 1};
  const double first = std::log(2.0), second = std::log(1.0 + std::exp(-1.0));
  CHECK(std::abs(*cross_entropy(logits, targets).value().data() - (first + second) / 2) <= 1e-15);
  const std::vector<double> weights{1.0, 3.0};
  CHECK(std::abs(*cross_entropy(logits, targets, weights).value().data() - (first + 3 * second) / 4) <=
        1e-15);
  CHECK(std::abs(*cross_entropy(logits, targets, weights, Reduction::sum).value().data() -
                 (first + 3 * second)) <= 1e-15);
  const auto x = constant(Tensor<double>::from({2, 2}, {3.0, 4.0, 0.0, 0.0}));
  CHECK(std::abs(*cosine_loss(x, Tensor<double>::from({2, 2}, {4.0, 3.0, 1.0, 0.0})).value().data() -
                 (0.04 + 1.0) / 2) <= 1e-15);
  CHECK(*mse(x, Tensor<double>::full({2, 2}, 1.0)).value().data() == (4.0 + 9.0 + 1.0 + 1.0) / 4);
}

TEST_CASE("a loss over no targets is 0 with zero gradient") {
  auto check = [](auto&& f, const Shape& shape) {
    Tape<double> tape;
    const auto x = tape.input(numbers(shape, 1));
    const auto y = f(x);
    CHECK(*y.value().data() == 0.0);
    tape.backward(y);
    const auto grad = tape.grad(x);
    CHECK(grad.shape() == shape);
    for (const double g : std::as_const(grad).span()) CHECK(g == 0.0);
  };
  check([](const auto& x) { return mse(x, Tensor<double>::zeros({0, 3})); }, {0, 3});
  check([](const auto& x) { return cosine_loss(x, Tensor<double>::zeros({0, 3})); }, {0, 3});
  check([](const auto& x) { return cross_entropy(x, std::vector<int>()); }, {0, 3});
  const std::vector<int> masked{-100, 7};
  check([&](const auto& x) { return cross_entropy(x, masked, std::vector<double>{0.0, 0.0}); }, {2, 3});
}

TEST_CASE(
    "classes that can not be chosen get no gradient, targets out of range are refused, NaN is not hidden") {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::from({1, 3}, {0.0, -infinity, 1.0}));
  const auto y = cross_entropy(x, std::vector<int>{2});
  CHECK(std::abs(*y.value().data() - std::log(1.0 + std::exp(-1.0))) <= 1e-15);
  tape.backward(y);
  CHECK(tape.grad(x)(0, 1) == 0.0);
  CHECK_THROWS_AS(cross_entropy(x, std::vector<int>{3}), ShapeError);
  CHECK_THROWS_AS(cross_entropy(x, std::vector<int>{-100}), ShapeError);
  CHECK_THROWS_AS(cross_entropy(x, std::vector<int>{0, 1}), ShapeError);
  CHECK_THROWS_AS(mse(x, Tensor<double>::zeros({3, 1})), ShapeError);
  CHECK_THROWS_AS(cosine_loss(x, Tensor<double>::zeros({3, 1})), ShapeError);
  const auto poisoned = constant(Tensor<double>::from({1, 3}, {0.0, nan, 1.0}));
  CHECK(std::isnan(*cross_entropy(poisoned, std::vector<int>{2}).value().data()));
  CHECK(std::isnan(*mse(poisoned, Tensor<double>::zeros({1, 3})).value().data()));
  CHECK(std::isnan(*cosine_loss(poisoned, Tensor<double>::full({1, 3}, 1.0)).value().data()));
}

TEST_CASE("float cross entropy agrees with double at every level, over many classes") {
  const auto logits = spiky<float>({5, 3001}, 1);
  const std::vector<std::int32_t> targets{0, 3000, 17, 1024, 5};
  const std::vector<float> weights{1.0F, 0.5F, 0.0F, 2.0F, 1.0F};
  const std::vector<double> same_weights(weights.begin(), weights.end());
  Tape<double> tape;
  const auto x = tape.input(ops::cast<double>(logits));
  const auto exact = cross_entropy(x, targets, same_weights);
  tape.backward(exact);
  at_every_level([&](CpuKernels) {
    Tape<float> own;
    const auto in = own.input(logits);
    const auto found = cross_entropy(in, targets, weights);
    own.backward(found);
    CHECK(std::abs(static_cast<double>(*found.value().data()) - *exact.value().data()) <=
          2e-6 * *exact.value().data());
    const auto gradient = own.grad(in);
    const auto expected = tape.grad(x);
    double worst = 0;
    for (std::int64_t k = 0; k < logits.numel(); ++k)
      worst = std::max(worst, std::abs(static_cast<double>(gradient.data()[k]) - expected.data()[k]));
    CHECK(worst <= 1e-6);
  });
}
