// SPDX-License-Identifier: MIT
// Sums by NCCL: one rank on one device, as in the emulated test; and where there are more devices, a rank on
// each, which are threads.
#include <algorithm>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/distributed/cuda_gradient_sums.hpp"
#include "stofm/distributed/thread_communicator.hpp"
#include "tests/kernels/nccl_sums_cases.hpp"

using namespace stofm;
using namespace stofm::distributed;

TEST_CASE("ranks on all devices end with the sums of whole numbers, twice with the same bits of others") {
  const int count = std::min(backend::cuda_device_count(), 8);
  if (count < 2) {
    MESSAGE("one device: sums over several are not tested");
    return;
  }
  const std::vector<std::int64_t> borders{0, 1000, 1 << 18, (1 << 20) + 3};
  std::vector<Tensor<float>> results(static_cast<std::size_t>(2 * count));
  std::atomic<std::int64_t> wrong = 0;
  for (int run = 0; run < 2; ++run)
    run_thread_ranks(count, [&](Communicator& ranks) {
      const Cuda device{ranks.rank()};
      if (!why_not_nccl(ranks, device).empty()) throw std::logic_error("devices are shared");
      CudaGradientSums sums(ranks, device);
      const auto sum = [&](const Tensor<float>& host) {
        Tensor<float, Cuda> there = backend::to_device(host, device);
        const backend::CudaGradients gradients{backend::current_stream(device), there.data(), borders};
        sums.ready(gradients, borders[2]);
        sums.finish(gradients);
        return backend::to_host(there);
      };
      Tensor<float> whole(Shape{borders.back()});
      for (std::int64_t i = 0; i < whole.numel(); ++i)
        whole.data()[i] = static_cast<float>(i % 1000 + ranks.rank());
      const Tensor<float> total = sum(whole);
      for (std::int64_t i = 0; i < whole.numel(); ++i)
        wrong += total.data()[i] != static_cast<float>(count * (i % 1000) + count * (count - 1) / 2);
      results[static_cast<std::size_t>(run * count + ranks.rank())] =
          sum(nccl_sums_cases::some_numbers(borders.back(), static_cast<std::uint64_t>(ranks.rank())));
    });
  CHECK(wrong == 0);
  for (const Tensor<float>& result : results) CHECK(nccl_sums_cases::same_bits(result, results.front()));
}
