// SPDX-License-Identifier: MIT
#if defined(STOFM_ALL_HEADERS)  // packaging.find_package: twice in one program
#include <stofm/stofm.hpp>
#else
#include <stofm/ops/linear.hpp>
#endif

double other_unit();
double other_unit() {
  const auto x = stofm::Tensor<double>::from({1, 2}, {3, 4});
  const auto w = stofm::Tensor<double>::from({1, 2}, {1, 2});
  const auto b = stofm::Tensor<double>::from({1}, {0});
  return stofm::ops::linear(x, w, b, {})(0, 0);
}
