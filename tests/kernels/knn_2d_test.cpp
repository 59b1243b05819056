// SPDX-License-Identifier: MIT
// The kNN kernels, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/knn_2d/launch.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/knn_2d_cases.hpp"

TEST_CASE("policies: levels, buffers, warps") {
  using namespace stofm::kernels::knn_2d;
  CHECK(levels_of(1).count == 1);
  CHECK(levels_of(1024).count == 1);
  CHECK(levels_of(1025).count == 2);
  CHECK(levels_of(1025).boxes[1] == 2);
  CHECK(levels_of(0x7fffffff).count == most_levels);
  for (std::int64_t k = 1; k <= most_neighbours; ++k) {
    REQUIRE(buffer_capacity(k) >= k + 32);
    REQUIRE(warps_for(k) * buffer_bytes(k) <= 48 * 1024);
  }
}
