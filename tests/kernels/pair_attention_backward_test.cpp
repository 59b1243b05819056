// SPDX-License-Identifier: MIT
// The backward kernels of pair attention, run on the host, against the dense composition in double.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/pair_attention_backward_cases.hpp"

using namespace pair_test;

TEST_CASE("results that nobody wants are left out") {
  using namespace stofm::backend;
  const Case c{{make_slice(40, Listed::none)}, 1, 8, 1};
  const Inputs in(c);
  const PairAttentionSizes sizes{1, 8, Precision::float32, c.scale()};
  const std::int64_t before = emulator::launches();
  pair_background_gradient({}, nullptr, 0, 1, Matrix<float>(1, 1).data(), Matrix<float>(64, 1).data());
  CHECK(emulator::launches() == before + 2);
  CHECK(pair_attention_backward_bytes(sizes, 40) == 40 * 16 * 4 + 40 * 4);
  CHECK_THROWS_AS(pair_attention_backward({}, sizes, {}), stofm::UsageError);
}
