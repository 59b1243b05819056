// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Every call of the CUDA runtime and of cuBLAS goes through the macros of this file (a test greps for
/// others):
///     STOFM_CUDA_CHECK(cudaMemsetAsync(p, 0, bytes, stream));   throws a stofm::Error for anything but
///     success STOFM_CUDA_RELEASE(cudaFreeAsync(p, stream));             in destructors: never throws
/// The codes of the errors are in backend/cuda/device.hpp. A hook lets the k-th call fail, for tests.

#include <atomic>
#include <string>

#include "stofm/core/error.hpp"
#include "stofm/kernels/common/platform.cuh"

namespace stofm::kernels {

/// Test hook: the call that counts `countdown` down to 0 is not made and reports `error`.
struct CallFaults {
  std::atomic<std::int64_t> countdown{
      -1};                             ///< calls until the failing one, that one included; < 0: none fails
  std::atomic<int> error{2};           ///< a cudaError_t; 2 is cudaErrorMemoryAllocation
  std::atomic<std::int64_t> calls{0};  ///< checked calls so far
};
inline CallFaults& call_faults() {
  static CallFaults faults;
  return faults;
}
/// Counts a call; whether it is the one that shall fail.
inline bool call_shall_fail() {
  CallFaults& faults = call_faults();
  faults.calls.fetch_add(1, std::memory_order_relaxed);
  if (faults.countdown.load(std::memory_order_relaxed) < 0) return false;
  return faults.countdown.fetch_sub(1) == 1;
}

/// Throws the stofm::Error that tells of `error`; `call` is the text of the call.
[[noreturn]] inline void throw_cuda_error(cudaError_t error, const char* call) {
  const std::string name = cudaGetErrorName(error), text = cudaGetErrorString(error);
  const std::string found = concat(name, " (", text, ")");
  const std::string where = concat("[", std::string(call).substr(0, std::string(call).find('(')), "]");
  switch (error) {
    case cudaErrorMemoryAllocation: {
      std::size_t unused = 0, total = 0;
      (void)cudaGetLastError();
      (void)cudaMemGetInfo(&unused, &total);
      throw ResourceError(
          {"STOFM-6003", "", where,
           concat("no room on the device, ", unused >> 20, " of ", total >> 20, " MiB are free"),
           "enough device memory", "Use a smaller --batch or smaller pieces (--split), or another device."});
    }
    case cudaErrorNoDevice:
      throw DeviceError({"STOFM-6001", "", where, found, "a CUDA device", "Use --device cpu."});
    case cudaErrorInvalidDevice:
      throw DeviceError({"STOFM-6002", "", where, found, "the number of a CUDA device",
                         "Use cuda:0, or see the devices with nvidia-smi."});
    case cudaErrorInsufficientDriver:
      throw DeviceError({"STOFM-6001", "", where, found, "an NVIDIA driver for this CUDA version",
                         "Install a newer driver, or use --device cpu."});
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      throw DeviceError({"STOFM-6004", "", where, found, "kernels for the architecture of this device",
                         "Build with -DCMAKE_CUDA_ARCHITECTURES for it, or use --device cpu."});
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
      throw DeviceError({"STOFM-6005", "", where, found, "a kernel that ends well",
                         "The device is lost for this process; please report this with the command."});
    default:
      throw DeviceError({"STOFM-6006", "", where, found, "cudaSuccess",
                         "Try again, or use --device cpu; please report it if it comes back."});
  }
}

inline void cuda_check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // what is reported here must not be reported by the next launch as well
  throw_cuda_error(error, call);
}

/// Makes the call unless it shall fail; see STOFM_CUDA_CHECK.
template <class Call>
void checked_cuda_call(const char* text, const Call& call) {
  cuda_check(call_shall_fail() ? static_cast<cudaError_t>(call_faults().error.load()) : call(), text);
}

#define STOFM_CUDA_CHECK(call) ::stofm::kernels::checked_cuda_call(#call, [&] { return call; })
#define STOFM_CUDA_RELEASE(call) static_cast<void>(call)

}  // namespace stofm::kernels
