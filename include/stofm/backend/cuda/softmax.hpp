// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA softmax and its gradient (see ops/softmax.hpp); queued
/// on `current_stream(device)`. [M, N] with dense rows; y may be x, grad_x may be grad_y.

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

void softmax(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x);

void softmax_gradient(Cuda device, TensorView<float, Cuda> grad_x, TensorView<const float, Cuda> grad_y,
                      TensorView<const float, Cuda> y);

}  // namespace stofm::backend
