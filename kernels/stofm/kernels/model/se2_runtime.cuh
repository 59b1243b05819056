// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What both runners of the SE(2) Transformer share: streams and events, errors about sizes and memory. Host code.

#include <cmath>
#include <memory>
#include <span>
#include <string>

#include "stofm/backend/cuda/memory.hpp"
#include "stofm/backend/cuda/se2_encoder.hpp"
#include "stofm/kernels/model/policy.hpp"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels::se2 {

/// Makes `stream` the thread's current one while it lives: allocations are ordered on it.
class StreamScope {
 public:
  StreamScope(Cuda device, CudaStream stream) : device_(device) {
    const auto found = thread_streams().chosen.find(device.ordinal);
    before_ = {found == thread_streams().chosen.end() ? nullptr : found->second};
    use_device(device);
    backend::set_current_stream(device, stream);
  }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;
  ~StreamScope() { backend::set_current_stream(device_, before_); }

 private:
  Cuda device_;
  CudaStream before_;
};

class OwnStream {
 public:
  explicit OwnStream(Cuda device) : device_(device), stream_(backend::create_stream(device)) {}
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  ~OwnStream() { backend::destroy_stream(device_, stream_); }
  CudaStream get() const { return stream_; }

 private:
  Cuda device_;
  CudaStream stream_;
};

class OwnEvent {
 public:
  OwnEvent() { STOFM_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  OwnEvent(const OwnEvent&) = delete;
  OwnEvent& operator=(const OwnEvent&) = delete;
  ~OwnEvent() { STOFM_CUDA_RELEASE(cudaEventDestroy(event_)); }
  void record(CudaStream stream) { STOFM_CUDA_CHECK(cudaEventRecord(event_, native(stream))); }
  /// Lets `stream` wait for what was recorded.
  void hold(CudaStream stream) { STOFM_CUDA_CHECK(cudaStreamWaitEvent(native(stream), event_, 0)); }
  void wait() { STOFM_CUDA_CHECK(cudaEventSynchronize(event_)); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Says how many of `slices` would fit where `needed` bytes did not.
[[noreturn]] inline void throw_batch_too_large(const char* who, std::int64_t needed, std::int64_t held,
                                               std::int64_t slices, std::int64_t nodes) {
  std::size_t unused = 0, total = 0;
  (void)cudaMemGetInfo(&unused, &total);  // unchecked: on the way to an error; zeros then
  const auto mib = [](std::int64_t bytes) { return bytes >> 20; };
  const std::int64_t room = static_cast<std::int64_t>(unused) + held,
                     each = slices > 0 ? needed / slices : needed, fit = each > 0 ? room / each : 0;
  throw ResourceError({"STOFM-6063", "", concat("[", who, "] device memory"),
                       concat("about ", mib(needed), " MiB for ", slices,
                              slices == 1 ? " sub-slice" : " sub-slices", " of ", nodes, " nodes together"),
                       concat("at most ", mib(room), " MiB: ", fit, fit == 1 ? " sub-slice" : " sub-slices"),
                       fit > 0 ? concat("Use --batch ", fit, ".")
                               : std::string("Use smaller pieces (--split), or --device cpu.")});
}

}  // namespace stofm::kernels::se2
