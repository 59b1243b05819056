// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/nn/modules.hpp"

using namespace stofm;
using namespace stofm::nn;

TEST_CASE("linear layers with and without a bias and norms find their parameters by name") {
  ParameterSet<float> set;
  create_linear(set, "with", {.in = 2, .out = 1}, RandomKey{1});
  create_linear(set, "without", {.in = 2, .out = 1, .bias = false}, RandomKey{2});
  set.add("norm.weight", Tensor<float>::full({3}, 2.0F));
  set.add("norm.bias", Tensor<float>::full({3}, 1.0F));
  set.at("with.bias").changing()(0) = 5.0F;
  set.at("with.weight").changing() = Tensor<float>::from({1, 2}, {1.0F, 2.0F});
  set.at("without.weight").changing() = Tensor<float>::from({1, 2}, {1.0F, 2.0F});
  Tape<float> tape;
  const auto x = autograd::constant(Tensor<float>::from({1, 2}, {10.0F, 100.0F}));
  CHECK(Linear<float>(set, "with")(tape, x).value()(0, 0) == 215.0F);
  CHECK(Linear<float>(set, "without")(tape, x).value()(0, 0) == 210.0F);
  const auto rows = autograd::constant(Tensor<float>::from({1, 3}, {1.0F, 2.0F, 6.0F}));
  const LayerNorm<float> norm(set, "norm", 1e-12);
  const auto y = norm(tape, rows).value();  // twice a mean of 0, and 1
  CHECK(y(0, 0) + y(0, 1) + y(0, 2) == doctest::Approx(3.0F));
  CHECK(y(0, 2) > y(0, 1));
  CHECK(norm(tape, rows, rows).value()(0, 2) == doctest::Approx(y(0, 2)));  // a norm sees no factor
  CHECK_THROWS_AS(Linear<float>(set, "missing"), UsageError);
  CHECK_THROWS_AS(create_linear(set, "with", {.in = 2, .out = 1}, RandomKey{1}), UsageError);
}
