// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the tests of the rules share: inputs, layouts, and one check with the bar of the rule.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/ops/op_test.hpp"
#include "tests/support/gradcheck.hpp"

namespace stofm::test {

using autograd::constant;
using autograd::Parameter;
using autograd::ParameterSet;
using autograd::Tape;
using autograd::Variable;
using Variables = std::vector<Variable<double>>;

/// Uniform in [-1, 1), some up to `spike` times larger.
inline Tensor<double> numbers(const Shape& shape, std::uint64_t seed, double spike = 3.0) {
  Tensor<double> t(shape);
  Numbers source(seed);
  for (double& v : t.span()) {
    v = source.uniform();
    if (source.uniform() > 0.7) v *= spike;
  }
  return t;
}
/// The same values as a transposed view of other memory.
inline Tensor<double> as_transposed(const Tensor<double>& x) {
  return x.transpose(0, 1).clone().transpose(0, 1);
}
/// The same values, `distance` from 0 at least (away from kinks).
inline Tensor<double> away_from_zero(Tensor<double> x, double distance = 0.01) {
  for (double& v : x.span()) v += v < 0 ? -distance : distance;
  return x;
}

/// Gradients of f at these inputs: within `bar` of the quotients, also alone and twice on a tape.
template <class Function>
void check_gradients(const std::string& rule, double bar, Function&& f, std::vector<Tensor<double>> inputs,
                     GradcheckOptions options = {}) {
  options.floor =
      (std::max)(options.floor, 1e-4);  // gradients that are zero by symmetry: absolute below this
  const GradcheckResult found = gradcheck(f, std::move(inputs), options);
  CAPTURE(rule);
  CAPTURE(found.worst);
  CHECK(found.error <= bar);
  CHECK(found.direction <= bar);
  CHECK(found.reuse <= 1e-12);
  CHECK(found.alone);
  CHECK(found.silent);
  static std::map<std::string, double> worst;  // STOFM_GRADCHECK_REPORT=1 prints the figures
  double& entry = worst[rule];
  entry = (std::max)(entry, found.error);
  if (std::getenv("STOFM_GRADCHECK_REPORT") != nullptr)
    MESSAGE(rule << ": " << found.error << ", worst " << entry);
}

}  // namespace stofm::test
