// SPDX-License-Identifier: MIT
// The kernels that sort listed pairs into strips, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/pair_index/launch.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/pair_index_cases.hpp"

TEST_CASE("one warp covers a strip of either side") {
  using Policy = stofm::kernels::pair_index::PairIndexPolicy;
  CHECK(Policy::tile == stofm::backend::pair_tile);
  CHECK(Policy::strips_per_tile * Policy::strip_rows == Policy::tile);
  CHECK(Policy::warps * 32 <= 1024);
  CHECK(stofm::backend::pair_strip_workspace(0) == 0);
  CHECK(stofm::backend::pair_strip_workspace(4096) == 1);
  CHECK(stofm::backend::pair_strip_workspace(4097) == 2);
}
