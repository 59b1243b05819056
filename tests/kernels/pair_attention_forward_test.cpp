// SPDX-License-Identifier: MIT
// The forward kernel of pair attention, run on the host, against the dense composition in double.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/pair_attention_forward_cases.hpp"

using namespace pair_test;

TEST_CASE("an empty batch launches nothing, and sizes without a kernel are refused") {
  const std::int64_t before = emulator::launches();
  device({{make_slice(0)}, 2, 8, 1, 0, Precision::bf16, false}, Inputs({{make_slice(0)}, 2, 8, 1}));
  CHECK(emulator::launches() == before);
  using namespace stofm::backend;
  for (const PairAttentionSizes sizes :
       {PairAttentionSizes{0, 8}, PairAttentionSizes{2, 0}, PairAttentionSizes{2, 65}})
    CHECK_THROWS_AS(pair_operand_bytes(sizes, 5), stofm::UsageError);
  PairAttentionForward none;
  CHECK_THROWS_AS(pair_attention_forward({}, {2, 8}, none), stofm::UsageError);
  none.layer.layers = max_pair_layers + 1;
  CHECK_THROWS_AS(pair_attention_forward({}, {2, 8}, none), stofm::UsageError);
}
