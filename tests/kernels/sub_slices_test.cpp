// SPDX-License-Identifier: MIT
// The kernels that cut a slice and build its pieces, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/runtime/memory.cuh"
#include "stofm/kernels/sub_slices/launch.cuh"
#include "tests/kernels/sub_slices_cases.hpp"

TEST_CASE("many rows are summed over several blocks") {
  const std::int64_t count = 9001;
  std::vector<std::int64_t> values(count + 1), expected(values);
  std::mt19937 bits(1);
  for (std::int64_t& v : values) v = bits() % 100;
  const stofm::kernels::TransferArray<std::int64_t> device(stofm::Cuda{}, values.data(), count + 1),
      block_sums(stofm::Cuda{}, 3);
  stofm::kernels::sub_slices::launch_sums(device.data(), block_sums.data(), count,
                                          stofm::backend::current_stream(stofm::Cuda{}));
  for (std::size_t i = 0; i < count; ++i) expected[i + 1] = expected[i] + values[i];
  CHECK(device.to_host() == expected);
}

TEST_CASE("bytes of keys") {
  using stofm::kernels::sub_slices::key_bytes;
  CHECK(key_bytes(1) == 1);
  CHECK(key_bytes(256) == 1);
  CHECK(key_bytes(257) == 2);
  CHECK(key_bytes(std::uint64_t{1} << 32) == 4);
  CHECK(key_bytes(~std::uint64_t{0}) == 8);
}
