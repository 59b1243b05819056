// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How several processes that train on CUDA devices sum their gradients: on the devices with NCCL, if it was
/// built in and each has a device of its own, else through the host. STOFM_GRADIENT_SUMS=host|nccl in the
/// environment of the first process decides it.

#include "stofm/distributed/gradient_reducer.hpp"
#include "stofm/train/cuda_parameters.hpp"

namespace stofm::program {

/// Empty for one process and where gradients go through the host; says in a line which way they go, if there
/// was a choice. All ranks must call it; `ranks` must outlive the result. \throws DeviceError, STOFM-6011 for
/// another word in the environment and for `nccl` where it can't be
train::DeviceGradientSums device_sums(distributed::Communicator& ranks, Cuda device,
                                      distributed::Combine combine);

}  // namespace stofm::program
