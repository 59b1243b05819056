// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The stream that CUDA ops of this thread run on, opaque: no CUDA header is needed to name it.
/// Everything under backend/cuda is only declared here and defined in the kernel library; a CPU program never
/// needs a definition.

#include "stofm/core/device.hpp"

namespace stofm::backend {

/// A cudaStream_t without its header.
struct CudaStream {
  void* handle = nullptr;
};

/// The stream of `device` that ops called from this thread are queued on: the one chosen last, else one made
/// for this thread and device at the first call (and kept until the process ends). Makes `device` the current
/// one of this thread. \throws DeviceError STOFM-6001, STOFM-6002 when there is no such device.
CudaStream current_stream(Cuda device);
/// Chooses it for this thread; a null handle goes back to the thread's own.
void set_current_stream(Cuda device, CudaStream stream);

/// A new stream of `device` that does not wait for the legacy default stream; given back by `destroy_stream`.
CudaStream create_stream(Cuda device);
void destroy_stream(Cuda device, CudaStream stream) noexcept;
/// Waits until everything queued on the stream is done. \throws DeviceError when a queued kernel failed.
void synchronize(Cuda device, CudaStream stream);

}  // namespace stofm::backend
