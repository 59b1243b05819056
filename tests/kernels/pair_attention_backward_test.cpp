// SPDX-License-Identifier: MIT
// The backward kernels of pair attention, run on the host, against the dense composition in double.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/pair_attention_backward_cases.hpp"

using namespace pair_test;

TEST_CASE("the workspace has grad_y and its row products; no layers are refused") {
  using namespace stofm::backend;
  const PairAttentionSizes sizes{1, 8, Precision::float32, 1.0};
  CHECK(pair_attention_backward_bytes(sizes, 40) == 40 * 16 * 4 + 40 * 4);
  CHECK_THROWS_AS(pair_attention_backward({}, sizes, {}), stofm::UsageError);
}
