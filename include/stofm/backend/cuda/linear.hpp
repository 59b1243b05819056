// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA linear layer (see ops/linear.hpp); queued on `current_stream(device)`.

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

void linear(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
            TensorView<const float, Cuda> w, const float* bias, LinearOptions options);

}  // namespace stofm::backend
