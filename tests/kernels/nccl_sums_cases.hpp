// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums of NCCL over one rank on one device: what can be tested with a single device. Included by the
/// emulated test and by the one on a device.

#include <doctest/doctest.h>

#include <cstring>

#include "stofm/backend/cuda/memory.hpp"
#include "stofm/backend/cuda/nccl_sums.hpp"
#include "stofm/core/random.hpp"

namespace nccl_sums_cases {

using namespace stofm;

inline Tensor<float> some_numbers(std::int64_t count, std::uint64_t seed) {
  Tensor<float> numbers(Shape{count});
  Random random(seed);
  for (std::int64_t i = 0; i < count; ++i) numbers.data()[i] = static_cast<float>(random.normal());
  return numbers;
}
inline bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.numel() == b.numel() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * sizeof(float)) == 0;
}

TEST_CASE("one rank: sums and averages are the numbers themselves, after what was queued before") {
  const Cuda device{0};
  CHECK(backend::NcclSums::version()[0] == '2');
  CHECK(backend::NcclSums::device_id(device).size() == 32);
  for (const bool average : {false, true}) {
    backend::NcclSums sums(device, 0, 1, backend::NcclSums::make_id(), {.average = average});
    const backend::CudaStream work = backend::current_stream(device);
    sums.finish(work);  // nothing was started
    for (const std::int64_t count : {1, 31, 4097, 1 << 20}) {
      const Tensor<float> host = some_numbers(count, static_cast<std::uint64_t>(count));
      Tensor<float, Cuda> there(Shape{count}, device);
      backend::copy_to_device<float>(there.view(), host.view());
      const std::int64_t half = count / 2;
      if (half > 0) sums.start(work, there.data() + half, count - half);
      sums.start(work, there.data(), half > 0 ? half : count);
      sums.finish(work);
      CHECK(same_bits(backend::to_host(there), host));
    }
  }
}

}  // namespace nccl_sums_cases
