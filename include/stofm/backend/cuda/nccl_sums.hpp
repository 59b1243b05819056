// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums over the devices of several processes with NCCL. Declared here, defined by the kernel library if it
/// was built with NCCL (STOFM_NCCL). distributed/cuda_gradient_sums.hpp uses it for gradients.
///
/// Errors: STOFM-4601 another rank or the network failed; STOFM-6010 any other error of NCCL; 60xx of CUDA.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "stofm/backend/cuda/stream.hpp"

namespace stofm::backend {

/// What rank 0 makes and gives to all ranks before they meet.
using NcclId = std::array<char, 128>;

struct NcclSumsOptions {
  bool average = false;  ///< the sum divided by the number of ranks
  /// Called now and then while waiting for other ranks; what it throws ends the wait, and the sums with it.
  std::function<void()> while_waiting = {};
};

/// One rank of a group of devices. Work runs on a stream of its own beside that of the caller.
///
/// Nothing here waits for ever for a rank that NCCL knows to be lost. After any error the communicator is
/// gone and every call throws. *Deterministic*: all ranks get the same bits. Two runs do if ranks, devices
/// and their links, the version of NCCL and its settings are the same: NCCL then picks the same algorithm for
/// a length, and rings and trees add in one order. Sums inside the switch (NVLS) do not, so NCCL_NVLS_ENABLE
/// is set to 0 unless the environment says otherwise.
class NcclSums {
 public:
  static NcclId make_id();
  /// Names the device among those of all machines.
  static std::string device_id(Cuda device);
  /// "2.28.9", the library that is loaded.
  static std::string version();

  /// Meets the other ranks: all of them must call it. \throws DeviceError; two ranks on one device are
  /// STOFM-6010
  NcclSums(Cuda device, int rank, int ranks, const NcclId& id, NcclSumsOptions options = {});
  ~NcclSums();
  NcclSums(NcclSums&&) noexcept;
  NcclSums& operator=(NcclSums&&) noexcept;

  /// Queues the sum, in place, of `count` > 0 numbers on the device, behind what is queued on `work` by now.
  /// The same calls with the same counts on all ranks. They must stay untouched until `finish`.
  void start(CudaStream work, float* values, std::int64_t count);
  /// Waits for what was started; what is queued on `work` later sees the sums.
  void finish(CudaStream work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stofm::backend
