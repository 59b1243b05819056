// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declaration of the CUDA layer normalisation (see ops/layer_norm.hpp); queued on `current_stream(device)`.

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

void layer_norm(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
                TensorView<const float, Cuda> residual, const float* gamma, const float* beta, double eps);

}  // namespace stofm::backend
