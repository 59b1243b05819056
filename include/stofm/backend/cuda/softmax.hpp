// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declaration of the CUDA softmax (see ops/softmax.hpp); queued on `current_stream(device)`.

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

void softmax(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x);

}  // namespace stofm::backend
