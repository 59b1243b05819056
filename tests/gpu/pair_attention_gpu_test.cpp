// SPDX-License-Identifier: MIT
// Pair attention on a device: what the emulated tests check, and whole sub-slices.
#include "tests/gpu/support/sizes.hpp"
#include "tests/kernels/pair_attention_backward_cases.hpp"
#include "tests/kernels/pair_attention_forward_cases.hpp"

TEST_CASE("the published sizes, with gradients" * doctest::skip(stofm::test::only_small_sizes())) {
  using namespace pair_test;
  for (const Precision precision : {Precision::float32, Precision::split_bf16, Precision::bf16}) {
    const Case c{{make_slice(1050, Listed::some, 3000), make_slice(300)}, 2, 32, 4, 0.1, precision};
    std::string where;
    const double error = error_of(c, where);
    CAPTURE(static_cast<int>(precision));
    CAPTURE(where);
    CHECK(error <= pair_attention_backward_cases::tolerance(precision));
  }
}
