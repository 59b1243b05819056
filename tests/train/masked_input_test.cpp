// SPDX-License-Identifier: MIT
#include "stofm/train/masked_input.hpp"

#include <doctest/doctest.h>

#include "stofm/autograd/rules/linear.hpp"
#include "stofm/core/random.hpp"

using namespace stofm;
using namespace stofm::train;

namespace {
Tensor<float> noise(std::int64_t rows, std::int64_t columns, std::uint64_t seed, double deviation) {
  Tensor<float> result({rows, columns});
  Random random(seed);
  for (float& v : result.span()) v = static_cast<float>(deviation * random.normal());
  return result;
}
}  // namespace

TEST_CASE("a masked cell gives the bias alone once the rows sum to zero") {
  autograd::Parameter<float> w("w", noise(7, 256, 1, 0.02));
  const auto masked = Tensor<float>::full({1, 256}, -100.0F);
  CHECK_FALSE(has_neutral_rows(w.value()));
  const Tensor<float> before = ops::linear(masked, w.value());
  float largest = 0;
  for (const float v : before.span()) largest = std::max(largest, std::abs(v));
  CHECK(largest > 10.0F);
  neutralise_rows(w);
  CHECK(has_neutral_rows(w.value()));
  const Tensor<float> after = ops::linear(masked, w.value());
  // 256 products of |w| < 0.1 with 100, each rounded to 2^-24 of partial sums below 100: under 256 * 100 *
  // 2^-24.
  for (const float v : after.span()) CHECK(std::abs(v) < 1.6e-3F);
}

TEST_CASE("neutral rows keep differences between weights of a row") {
  autograd::Parameter<double> w("w", Tensor<double>::from({2, 3}, {1.0, 2.0, 6.0, -1.0, -1.0, 5.0}));
  neutralise_rows(w);
  CHECK(w.value()(0, 0) == -2.0);
  CHECK(w.value()(0, 2) == 3.0);
  CHECK(w.value()(1, 0) == -2.0);
  CHECK(w.version() == 1);
}

TEST_CASE("masked cells leave nothing in the projected gradient, others the part that keeps row sums") {
  autograd::Parameter<double> w("w", Tensor<double>::zeros({2, 4}));
  autograd::Tape<double> tape;
  auto x = Tensor<double>::full({2, 4}, -100.0);
  const double cell[] = {1.0, 2.0, 3.0, 6.0};
  for (std::int64_t j = 0; j < 4; ++j) x(1, j) = cell[j];
  const auto y = autograd::linear(autograd::constant(x), tape.parameter(w));
  tape.backward(y, Tensor<double>::from({2, 2}, {0.5, -2.0, 1.0, 0.0}));
  CHECK(w.grad()(0, 0) == -49.0);
  project_gradient_rows(w);
  CHECK(w.grad()(0, 0) == -2.0);
  CHECK(w.grad()(0, 3) == 3.0);
  for (std::int64_t j = 0; j < 4; ++j) CHECK(w.grad()(1, j) == 0.0);
}
