// SPDX-License-Identifier: MIT
// The kernels of the distance bias, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/gaussian_bias_cases.hpp"

TEST_CASE("no distance launches nothing") {
  using namespace gaussian_bias_cases;
  const Network network(8, 4);
  const std::int64_t before = emulator::launches();
  run(network, Matrix<float>(1, 0), Matrix<float>(0, 4));
  CHECK(emulator::launches() == before);
}
