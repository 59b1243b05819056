// SPDX-License-Identifier: MIT
// What every consumer project builds: include the umbrella, compute something, check it.
#if defined(STOFM_ALL_HEADERS)  // packaging.find_package: twice in one program
#include <stofm/stofm.hpp>
#else
#include <stofm/ops/linear.hpp>
#endif

#include <cstdio>

double other_unit();  // a second translation unit that includes the same headers
bool rounding_is_exact();

int main() {
  const auto x = stofm::Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto w = stofm::Tensor<float>::from({2, 3}, {1, 0, 0, 0, 1, 1});
  const auto b = stofm::Tensor<float>::from({2}, {0.5F, -1});
  const auto y = stofm::ops::linear(x, w, b, {});
  const bool right = y(0, 0) == 1.5F && y(0, 1) == 4.0F && y(1, 0) == 4.5F && y(1, 1) == 10.0F &&
                     other_unit() == 11.0 && rounding_is_exact();
  std::puts(right ? "consumer: right" : "consumer: wrong");
  return right ? 0 : 1;
}
