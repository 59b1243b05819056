// SPDX-License-Identifier: MIT
// Strips of listed pairs made on a device.
#include "tests/gpu/support/sizes.hpp"
#include "tests/kernels/pair_index_cases.hpp"

using namespace pair_index_cases;

TEST_CASE("a batch of the published size" * doctest::skip(stofm::test::only_small_sizes())) {
  check_strips(real_pieces(16, 1000, 49));
}
TEST_CASE("one large piece" * doctest::skip(stofm::test::only_small_sizes())) {
  check_strips(real_pieces(1, 9001, 100));
}
