// SPDX-License-Identifier: MIT
// Sorts and running sums as loops, which stand for CUB's in the emulator; and rows by segments of k-means.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/kmeans/launch.cuh"
#include "tests/kernels/support/device_array.hpp"

using namespace stofm::kernels;

TEST_CASE("a sort is stable and complete, by the bits that it is asked for") {
  for (const std::int64_t n : {1, 31, 32, 33, 1500}) {
    CAPTURE(n);
    std::mt19937_64 bits(8);
    std::vector<std::uint64_t> keys(static_cast<std::size_t>(n));
    std::vector<std::uint32_t> order(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      keys[i] = (bits() % 5) * 0x0101010001ULL;
      order[i] = static_cast<std::uint32_t>(i);
    }
    for (const int key_bits : {2, 35, 64}) {
      const DeviceArray<std::uint64_t> device_keys(stofm::Cuda{}, keys.data(), n);
      const DeviceArray<std::uint32_t> device_order(stofm::Cuda{}, order.data(), n);
      sort_pairs(stofm::Cuda{}, device_keys.data(), device_order.data(), n, key_bits);
      auto expected = order;
      const std::uint64_t mask = ~std::uint64_t{0} >> (64 - key_bits);
      std::stable_sort(expected.begin(), expected.end(),
                       [&](std::uint32_t a, std::uint32_t b) { return (keys[a] & mask) < (keys[b] & mask); });
      CHECK(device_order.to_host() == expected);
      const auto found = device_keys.to_host();
      for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == keys[expected[i]]);
    }
  }
}

TEST_CASE("many values become sums of those before them") {
  const std::int64_t count = 9001;
  std::vector<std::int64_t> values(count + 1), expected(values);
  std::mt19937 bits(1);
  for (std::int64_t& v : values) v = bits() % 100;
  const DeviceArray<std::int64_t> device(stofm::Cuda{}, values.data(), count + 1);
  running_sums(stofm::Cuda{}, device.data(), count);
  for (std::size_t i = 0; i < count; ++i) expected[i + 1] = expected[i] + values[i];
  CHECK(device.to_host() == expected);
}

TEST_CASE("rows lie by part and cluster, in their order") {
  const std::int64_t n = 77, k = 5, part_rows = 30;  // the last part is shorter; cluster 3 has no rows
  std::vector<std::int32_t> labels;
  std::mt19937 bits(2);
  for (std::int64_t i = 0; i < n; ++i)
    labels.push_back(static_cast<std::int32_t>(bits() % 3 + (bits() % 5 == 0 ? 2 : 0)));
  for (std::int32_t& label : labels) label = label == 3 ? 4 : label;
  Arena count;
  (void)kmeans::cut_segment_workspace(count, n, k, part_rows);
  const DeviceArray<std::byte> memory(stofm::Cuda{}, count.used());
  Arena arena(memory.data());
  const kmeans::SegmentWorkspace w = kmeans::cut_segment_workspace(arena, n, k, part_rows);
  REQUIRE(w.parts == 3);
  emulator::for_each_schedule([&] {
    kmeans::launch_sort_rows({n, 1, k, 0, stofm::backend::current_stream(stofm::Cuda{})}, labels.data(), w);
    std::int64_t place = 0;
    for (std::int64_t part = 0; part < w.parts; ++part)
      for (std::int64_t cluster = 0; cluster < k; ++cluster) {
        CHECK(w.offsets[part * k + cluster] == place);
        for (std::int64_t i = part * part_rows; i < std::min(n, (part + 1) * part_rows); ++i)
          if (labels[static_cast<std::size_t>(i)] == cluster) CHECK(w.order[place++] == i);
      }
    CHECK(w.offsets[w.parts * k] == n);
    CHECK(place == n);
  });
}
