// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Devices and streams: what backend/cuda/{device,stream}.hpp declare.

#include <map>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/kernels/common/launch.cuh"

namespace stofm::kernels {

/// Number of devices, 0 when the driver is absent or too old.
inline int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;  // unchecked: a failure is an answer here
  (void)cudaGetLastError();                                     // unchecked: forgets that failure
  return 0;
}

/// Makes `device` current for this thread. \throws DeviceError STOFM-6001, STOFM-6002.
inline void use_device(Cuda device) {
  static thread_local int current = -1;
  if (current == device.ordinal) return;
  int count = 0;
  STOFM_CUDA_CHECK(cudaGetDeviceCount(&count));
  if (device.ordinal < 0 || device.ordinal >= count)
    throw DeviceError(
        {"STOFM-6002", "", "[device]", device_name(device),
         count == 1 ? std::string("cuda:0, the only device") : concat("cuda:0 to cuda:", count - 1),
         "See the devices with nvidia-smi."});
  STOFM_CUDA_CHECK(cudaSetDevice(device.ordinal));
  current = device.ordinal;
}

/// Streams of this thread: what was chosen, and what was made when nothing was.
struct ThreadStreams {
  std::map<int, void*> chosen, own;
};
inline ThreadStreams& thread_streams() {
  static thread_local ThreadStreams streams;
  return streams;
}

inline CudaStream make_stream(Cuda device) {
  use_device(device);
  cudaStream_t stream = nullptr;
  STOFM_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return {stream};
}

inline CudaStream thread_stream(Cuda device) {
  use_device(device);
  ThreadStreams& streams = thread_streams();
  const auto chosen = streams.chosen.find(device.ordinal);
  if (chosen != streams.chosen.end() && chosen->second != nullptr) return {chosen->second};
  void*& own = streams.own[device.ordinal];
  if (own == nullptr) own = make_stream(device).handle;
  return {own};
}

inline backend::CudaDeviceInfo device_info(Cuda device) {
  use_device(device);
  backend::CudaDeviceInfo info;
  cudaDeviceProp properties;
  STOFM_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.ordinal));
  std::size_t unused = 0, total = 0;
  STOFM_CUDA_CHECK(cudaMemGetInfo(&unused, &total));
  STOFM_CUDA_CHECK(cudaDriverGetVersion(&info.driver_version));
  STOFM_CUDA_CHECK(cudaRuntimeGetVersion(&info.runtime_version));
  info.name = properties.name;
  info.total_bytes = static_cast<std::int64_t>(total);
  info.free_bytes = static_cast<std::int64_t>(unused);
  info.compute_major = properties.major;
  info.compute_minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.shared_bytes = static_cast<std::int64_t>(properties.sharedMemPerBlockOptin);
  return info;
}

}  // namespace stofm::kernels
