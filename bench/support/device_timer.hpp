// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Times of work queued on a device, by events, with a cold L2 cache: for Google Benchmark with
/// UseManualTime().

#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/backend/cuda/memory.hpp"

namespace stofm::bench {

/// Says why and ends the benchmark if there is no device.
inline bool no_device(benchmark::State& state) {
  if (backend::cuda_device_count() > 0) return false;
  state.SkipWithError("no CUDA device");
  return true;
}

class DeviceTimer {
 public:
  explicit DeviceTimer(Cuda device)
      : device_(device),
        stream_(static_cast<cudaStream_t>(backend::current_stream(device).handle)),
        flush_({flush_bytes}, device) {
    (void)cudaEventCreate(&begin_);
    (void)cudaEventCreate(&end_);
  }
  DeviceTimer(const DeviceTimer&) = delete;
  DeviceTimer& operator=(const DeviceTimer&) = delete;
  ~DeviceTimer() {
    (void)cudaEventDestroy(begin_);
    (void)cudaEventDestroy(end_);
  }

  /// Seconds that what `work` queues on the current stream takes.
  template <class Work>
  double seconds(const Work& work) {
    backend::fill_bytes(device_, flush_.data(), 0, flush_bytes);
    (void)cudaEventRecord(begin_, stream_);
    work();
    (void)cudaEventRecord(end_, stream_);
    backend::synchronize(device_, backend::current_stream(device_));
    float milliseconds = 0;
    (void)cudaEventElapsedTime(&milliseconds, begin_, end_);
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  static constexpr std::int64_t flush_bytes = std::int64_t{256} << 20;  // several times the L2 of an H200
  Cuda device_;
  cudaStream_t stream_;
  Tensor<std::uint8_t, Cuda> flush_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace stofm::bench
