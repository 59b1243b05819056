// SPDX-License-Identifier: MIT
// Sums over devices of several ranks: kernels/nccl and distributed/cuda_gradient_sums.hpp, with ranks that
// are threads and a stand-in for NCCL.
#include "tests/kernels/support/emulator.hpp"
// After it: it uses the streams of the emulated runtime.
#include "tests/kernels/support/emulated_nccl.hpp"

#include "stofm/distributed/cuda_gradient_sums.hpp"
#include "stofm/distributed/thread_communicator.hpp"
#include "stofm/kernels/nccl/nccl_sums.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/nccl_sums_cases.hpp"

using namespace stofm;
using namespace stofm::distributed;

namespace {

constexpr Cuda device{0};
const std::vector<std::int64_t> borders{0, 1000, 1003, 1900, 2500};

std::vector<float> numbers_of(int rank, std::uint64_t step) {
  const auto numbers =
      nccl_sums_cases::some_numbers(borders.back(), 10 * step + static_cast<std::uint64_t>(rank));
  return {numbers.data(), numbers.data() + numbers.numel()};
}

/// What a step of training does: backward finishes stretch by stretch, or there was nothing to compute.
/// \param values become the sums
void sum_a_step(CudaGradientSums& sums, std::vector<float>& values, bool computes = true) {
  const std::vector<float> computed = std::exchange(values, std::vector<float>(values.size()));
  const backend::CudaGradients gradients{backend::current_stream(device), values.data(), borders};
  for (std::size_t i = borders.size() - 1; computes && i-- > 0;) {
    std::copy(computed.begin() + borders[i], computed.begin() + borders[i + 1], values.begin() + borders[i]);
    sums.ready(gradients, borders[i]);
  }
  sums.finish(gradients);
}

/// The error that ends a job of ranks that sum two steps each.
/// \param silence between a rank's end in NCCL and what it tells of it
std::string error_of_job(int count, const std::function<void(Communicator&, CudaGradientSums&)>& work,
                         std::chrono::milliseconds silence = {}) {
  struct Silent {
    std::chrono::milliseconds silence;
    ~Silent() { std::this_thread::sleep_for(silence); }
  };
  try {
    run_thread_ranks(count, [&](Communicator& ranks) {
      emulator::device_number() = static_cast<char>(ranks.rank());
      if (!why_not_nccl(ranks, device).empty()) throw std::logic_error("devices are shared");
      const Silent silent{silence};
      CudaGradientSums sums(ranks, device, {.bucket_bytes = 1});
      work(ranks, sums);
      ranks.barrier();  // a step ends with sums of the losses
    });
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("buckets go from the last border to the first and are closed when they are large enough") {
  const auto buckets = [](std::vector<std::int64_t> at, std::int64_t bytes) {
    std::vector<std::pair<std::int64_t, std::int64_t>> all;
    for (const GradientBucket& bucket : gradient_buckets(at, bytes))
      all.emplace_back(bucket.first, bucket.count);
    return all;
  };
  using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;
  CHECK(buckets({0, 10, 30, 60, 100}, 1) == Pairs{{60, 40}, {30, 30}, {10, 20}, {0, 10}});
  CHECK(buckets({0, 10, 30, 60, 100}, 4 * 40) == Pairs{{60, 40}, {10, 50}, {0, 10}});
  CHECK(buckets({0, 10, 30, 60, 100}, 4 * 41) == Pairs{{30, 70}, {0, 30}});
  CHECK(buckets({0, 10, 30, 60, 100}, 1 << 20) == Pairs{{0, 100}});
  CHECK(buckets({0, 0, 30, 30}, 1) == Pairs{{0, 30}});  // a stretch of nothing is not sent
  CHECK(buckets({0}, 1).empty());
  CHECK(buckets({}, 1).empty());
}

TEST_CASE("sums over ranks have the bits of the host's, bucket by bucket while backward runs") {
  for (const int count : {2, 4})
    for (const Combine combine : {Combine::sum, Combine::average})
      for (const std::int64_t bytes : {1, 4 * 900, 1 << 20}) {
        std::atomic<int> equal = 0, early = 0;
        emulated_nccl().counts.clear();
        std::size_t expected_buckets = gradient_buckets(borders, bytes).size();
        run_thread_ranks(count, [&](Communicator& ranks) {
          emulator::device_number() = static_cast<char>(ranks.rank());
          REQUIRE(why_not_nccl(ranks, device).empty());
          CudaGradientSums sums(ranks, device, {.combine = combine, .bucket_bytes = bytes});
          for (std::uint64_t step = 1; step <= 3; ++step) {
            std::vector<float> values = numbers_of(ranks.rank(), step), host = values;
            // In step 2 the last rank has nothing to compute.
            const bool computes = step != 2 || ranks.rank() + 1 < ranks.size();
            if (!computes) host.assign(host.size(), 0.0F);
            ranks.all_reduce_sum(std::span<float>(host));
            if (combine == Combine::average)
              for (float& value : host) value /= static_cast<float>(ranks.size());
            sum_a_step(sums, values, computes);
            equal += std::memcmp(values.data(), host.data(), 4 * values.size()) == 0;
            early += sums.sent_early() == (computes ? static_cast<std::int64_t>(expected_buckets) : 0);
          }
        });
        CHECK(equal == 3 * count);
        CHECK(early == 3 * count);
        std::vector<std::size_t> counts;
        for (int step = 0; step < 3; ++step)
          for (const GradientBucket& bucket : gradient_buckets(borders, bytes))
            counts.push_back(static_cast<std::size_t>(bucket.count));
        CHECK(emulated_nccl().counts == counts);
      }
  CHECK(emulated_nccl().communicators == 0);
  CHECK(emulated_nccl().aborted == 0);
}

TEST_CASE("a rank that fails ends the job with its name, whether NCCL notices that it is gone or not") {
  for (const bool notices : {true, false}) {
    emulated_nccl().notices_lost_ranks = notices;
    const auto work = [](Communicator& ranks, CudaGradientSums& sums) {
      std::vector<float> values = numbers_of(ranks.rank(), 1);
      sum_a_step(sums, values);
      const backend::CudaGradients gradients{backend::current_stream(device), values.data(), borders};
      sums.ready(gradients, borders[2]);
      if (ranks.rank() == 1) throw DataError({"STOFM-9999", "slice", "", "broken", "whole", ""});
      sums.finish(gradients);
    };
    const std::string message = error_of_job(3, work, std::chrono::milliseconds(50));
    CHECK(message.find("STOFM-4601") != std::string::npos);
    CHECK(message.find("rank 1 of 3 failed") != std::string::npos);
    CHECK(message.find("broken") != std::string::npos);
    CHECK(emulated_nccl().communicators == 0);
  }
  emulated_nccl().notices_lost_ranks = true;
  emulated_nccl().aborted = 0;
}

TEST_CASE("a rank that is lost without a word is reported by whoever notices it") {
  const backend::NcclId id = backend::NcclSums::make_id();
  std::atomic<bool> met = false;
  std::thread other([&] {
    emulator::device_number() = 1;
    backend::NcclSums sums(device, 1, 2, id);
    while (!met) std::this_thread::yield();
    std::vector<float> values(5);
    sums.start(backend::current_stream(device), values.data(), 5);  // and leaves with it under way
  });
  std::string message;
  {
    emulator::device_number() = 0;
    backend::NcclSums sums(device, 0, 2, id);
    met = true;
    other.join();
    std::vector<float> values(5);
    const backend::CudaStream work = backend::current_stream(device);
    try {
      sums.start(work, values.data(), 5);
      sums.finish(work);
    } catch (const DeviceError& error) {
      message = error.what();
    }
    CHECK_THROWS_AS(sums.finish(work), DeviceError);  // there is no way back
    CHECK_THROWS_AS(sums.start(work, values.data(), 5), DeviceError);
  }
  CHECK(message.find("[rank 0 of 2, ncclAllReduce]") != std::string::npos);
  CHECK(message.find("STOFM-4601") != std::string::npos);
  CHECK(message.find("connection closed by remote peer") != std::string::npos);
  CHECK(emulated_nccl().communicators == 0);
}

TEST_CASE("whichever call fails, all ranks end with an error and no communicator stays behind") {
  const auto message_of_run = [] {
    const std::string message = error_of_job(2, [](Communicator& ranks, CudaGradientSums& sums) {
      for (std::uint64_t step = 1; step <= 2; ++step) {
        std::vector<float> values = numbers_of(ranks.rank(), step);
        sum_a_step(sums, values);
      }
    });
    CHECK(emulated_nccl().communicators == 0);
    return message;
  };
  const auto tells = [](const std::string& message, const char* code) {
    return message.find(code) != std::string::npos || message.find("STOFM-4601") != std::string::npos;
  };
  for (const bool notices : {true, false}) {
    emulated_nccl().notices_lost_ranks = notices;
    // Of CUDA: what it takes to meet, and a record and a wait for each bucket and for their end, twice.
    std::int64_t failed = 0;
    for (std::int64_t k = 1;; ++k) {
      kernels::call_faults().error = cudaErrorUnknown;
      kernels::call_faults().countdown = k;
      const std::string message = message_of_run();
      const bool reached = kernels::call_faults().countdown <= 0;
      kernels::call_faults().countdown = -1;
      if (!reached) {
        CHECK(message.empty());
        break;
      }
      ++failed;
      CAPTURE(k);
      CHECK(tells(message, "STOFM-6006"));
    }
    CHECK(failed >= 2 * 2 * 2 * (4 + 1));
    // Of NCCL. The goodbye may fail unheard: all sums were there.
    struct Calls {
      const char* name;
      int times;
    };
    for (const Calls& call :
         {Calls{"ncclGetUniqueId", 1}, Calls{"ncclCommInitRankConfig", 2}, Calls{"ncclCommGetAsyncError", 6},
          Calls{"ncclAllReduce", 2 * 2 * 4}, Calls{"ncclCommFinalize", 2}})
      for (int k = 1; k <= call.times; ++k) {
        CAPTURE(call.name);
        CAPTURE(k);
        emulated_nccl().failing_call = call.name;
        emulated_nccl().failing_after = k;
        const std::string message = message_of_run();
        CHECK(emulated_nccl().failing_after <= 0);
        if (std::string(call.name) == "ncclCommFinalize")
          CHECK(message.empty());
        else
          CHECK(tells(message, "STOFM-6010"));
      }
    emulated_nccl().failing_call.clear();
    CHECK(message_of_run().empty());
  }
  emulated_nccl().notices_lost_ranks = true;
}

TEST_CASE("ranks that share a device are found before NCCL is asked, and refused by it") {
  const int before = emulated_nccl().ids;
  std::atomic<int> found = 0;
  run_thread_ranks(3, [&](Communicator& ranks) {
    emulator::device_number() = static_cast<char>(ranks.rank() == 0 ? 0 : 7);
    found += why_not_nccl(ranks, device) == "ranks 1 and 2 share a device, which NCCL does not do";
  });
  CHECK(found == 3);
  CHECK(emulated_nccl().ids == before);
  std::string message;
  try {
    run_thread_ranks(2, [](Communicator& ranks) {
      emulator::device_number() = 7;
      const CudaGradientSums sums(ranks, device);
    });
  } catch (const DeviceError& error) {
    message = error.what();
  }
  CHECK(message.find("STOFM-6010") != std::string::npos);
  CHECK(message.find("Duplicate GPU detected") != std::string::npos);
  CHECK(message.find("STOFM_GRADIENT_SUMS=host") != std::string::npos);
  CHECK(emulated_nccl().communicators == 0);
}
