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

/// The stream of `device` that ops called from this thread are queued on.
CudaStream current_stream(Cuda device);
/// Chooses it for this thread.
void set_current_stream(Cuda device, CudaStream stream);

}  // namespace stofm::backend
