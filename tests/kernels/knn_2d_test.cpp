// SPDX-License-Identifier: MIT
// The kNN kernels and radix sorts, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/knn_2d/launch.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/knn_2d_cases.hpp"

TEST_CASE("a radix sort is stable and complete") {
  using namespace stofm::kernels;
  for (const std::int64_t n : {1, 31, 32, 33, 1500}) {
    CAPTURE(n);
    std::mt19937_64 bits(8);
    std::vector<std::uint64_t> keys(static_cast<std::size_t>(n));
    std::vector<std::uint32_t> order(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      keys[i] = (bits() % 5) * 0x0101010001ULL;
      order[i] = static_cast<std::uint32_t>(i);
    }
    const TransferArray<std::uint64_t> device_keys(stofm::Cuda{}, keys.data(), n);
    const TransferArray<std::uint32_t> device_order(stofm::Cuda{}, order.data(), n);
    WorkspaceCutter count;
    (void)counting_sort::cut_radix_workspace(count, n);
    const TransferArray<unsigned char> memory(stofm::Cuda{}, count.bytes());
    WorkspaceCutter cutter(memory.data());
    counting_sort::launch_radix_sort(device_keys.data(), device_order.data(), 5,
                                     counting_sort::cut_radix_workspace(cutter, n),
                                     stofm::backend::current_stream(stofm::Cuda{}));
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return keys[a] < keys[b]; });
    std::stable_sort(keys.begin(), keys.end());
    CHECK(device_keys.to_host() == keys);
    CHECK(device_order.to_host() == order);
  }
}

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
