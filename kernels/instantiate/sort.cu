// SPDX-License-Identifier: MIT
#include "stofm/kernels/sort/sort.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "stofm/kernels/runtime/memory.cuh"

#if !defined(STOFM_KERNEL_EMULATOR)
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#endif

namespace stofm::kernels {

#if defined(STOFM_KERNEL_EMULATOR)

void sort_pairs(Cuda device, std::uint64_t* keys, std::uint32_t* values, std::int64_t items, int key_bits) {
  const auto sort = [=] {
    const std::uint64_t mask = ~std::uint64_t{0} >> (64 - key_bits);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> pairs;
    for (std::int64_t i = 0; i < items; ++i) pairs.emplace_back(keys[i], values[i]);
    std::stable_sort(pairs.begin(), pairs.end(),
                     [mask](const auto& a, const auto& b) { return (a.first & mask) < (b.first & mask); });
    for (std::int64_t i = 0; i < items; ++i)
      std::tie(keys[i], values[i]) = pairs[static_cast<std::size_t>(i)];
  };
  STOFM_CUDA_CHECK(emulator::enqueue(native(thread_stream(device)), sort));
}

void running_sums(Cuda device, std::int64_t* values, std::int64_t count) {
  const auto sum = [=] { std::exclusive_scan(values, values + count + 1, values, std::int64_t{0}); };
  STOFM_CUDA_CHECK(emulator::enqueue(native(thread_stream(device)), sum));
}

#else

void sort_pairs(Cuda device, std::uint64_t* keys, std::uint32_t* values, std::int64_t items, int key_bits) {
  const cudaStream_t stream = native(thread_stream(device));
  const DeviceArray<std::uint64_t> other_keys(device, items);
  const DeviceArray<std::uint32_t> other_values(device, items);
  cub::DoubleBuffer<std::uint64_t> both_keys(keys, other_keys.data());
  cub::DoubleBuffer<std::uint32_t> both_values(values, other_values.data());
  std::size_t bytes = 0;
  const auto sort = [&](void* workspace) {
    return cub::DeviceRadixSort::SortPairs(workspace, bytes, both_keys, both_values, items, 0, key_bits,
                                           stream);
  };
  STOFM_CUDA_CHECK(sort(nullptr));
  const DeviceArray<std::byte> workspace(device, static_cast<std::int64_t>(bytes));
  STOFM_CUDA_CHECK(sort(workspace.data()));
  if (both_keys.Current() == keys) return;
  const auto count = static_cast<std::size_t>(items);
  STOFM_CUDA_CHECK(cudaMemcpyAsync(keys, both_keys.Current(), 8 * count, cudaMemcpyDeviceToDevice, stream));
  STOFM_CUDA_CHECK(
      cudaMemcpyAsync(values, both_values.Current(), 4 * count, cudaMemcpyDeviceToDevice, stream));
}

void running_sums(Cuda device, std::int64_t* values, std::int64_t count) {
  std::size_t bytes = 0;
  const auto sum = [&](void* workspace) {
    return cub::DeviceScan::ExclusiveSum(workspace, bytes, values, values, count + 1,
                                         native(thread_stream(device)));
  };
  STOFM_CUDA_CHECK(sum(nullptr));
  const DeviceArray<std::byte> workspace(device, static_cast<std::int64_t>(bytes));
  STOFM_CUDA_CHECK(sum(workspace.data()));
}

#endif

}  // namespace stofm::kernels
