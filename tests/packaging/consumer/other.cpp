// SPDX-License-Identifier: MIT
#include <stofm/stofm.hpp>

double other_unit();
double other_unit() {
  const auto x = stofm::Tensor<double>::from({1, 2}, {3, 4});
  const auto w = stofm::Tensor<double>::from({1, 2}, {1, 2});
  const auto b = stofm::Tensor<double>::from({1}, {0});
  return stofm::ops::linear(x, w, b, {})(0, 0);
}
