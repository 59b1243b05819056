// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which CUDA devices there are.
///
/// Codes of the errors of everything under backend/cuda:
///   STOFM-6001 no device, or a driver that is too old   STOFM-6002 no device of that number
///   STOFM-6003 device memory ran out (a ResourceError)  STOFM-6004 no kernels for this architecture
///   STOFM-6005 a kernel crashed; the device is lost for this process
///   STOFM-6006 any other error of CUDA                  STOFM-6007 of cuBLAS
///   STOFM-6008 sizes beyond what can be launched       STOFM-6010 any other error of NCCL

#include <cstdint>
#include <string>

#include "stofm/core/device.hpp"
#include "stofm/core/error.hpp"

namespace stofm::backend {

/// What a user is told about a device, and what plans are made from.
struct CudaDeviceInfo {
  std::string name;
  std::int64_t total_bytes = 0;
  std::int64_t free_bytes = 0;  ///< when asked; other processes may take it
  int compute_major = 0;        ///< 9 for Hopper
  int compute_minor = 0;
  int multiprocessors = 0;
  std::int64_t shared_bytes = 0;  ///< shared memory that one block may have
  int driver_version = 0;         ///< 13000 for 13.0
  int runtime_version = 0;        ///< the one compiled in
};

/// Number of devices; 0 without a driver. Never throws.
int cuda_device_count() noexcept;
/// \throws DeviceError STOFM-6001 without any device, STOFM-6002 for a number that is not there.
CudaDeviceInfo cuda_device_info(Cuda device);

/// Why a device can't run the kernels, in words for a user; empty if it can. They are compiled for compute
/// capability 8.0 and later, and blocks take up to 163 KiB of shared memory: what A100 and H100 have, and
/// what devices for workstations (8.6, 8.9, 12.0: 99 KiB) have not.
inline std::string why_unusable(const CudaDeviceInfo& info) {
  constexpr std::int64_t needed = 163 * 1024;
  if (info.compute_major >= 8 && info.shared_bytes >= needed) return {};
  return concat(info.name, ": compute capability ", info.compute_major, ".", info.compute_minor, ", ",
                info.shared_bytes / 1024, " KiB of shared memory a block; the kernels need 8.0 and ",
                needed / 1024, " KiB");
}

}  // namespace stofm::backend
