// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/tape.hpp"

using namespace stofm;
using namespace stofm::autograd;

TEST_CASE("the gradient of a linear layer stands in its parameters") {
  Parameter<double> w("w", Tensor<double>::from({1, 2}, {2.0, 3.0})), b("b", Tensor<double>::from({1}, {0.5}));
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::from({1, 2}, {5.0, 7.0}));
  const auto y = linear(x, tape.parameter(w), tape.parameter(b));
  CHECK(y.value()(0, 0) == 31.5);
  tape.backward(y);
  CHECK(w.grad()(0, 0) == 5.0);
  CHECK(w.grad()(0, 1) == 7.0);
  CHECK(b.grad()(0) == 1.0);
  CHECK(tape.grad(x)(0, 1) == 3.0);
}
