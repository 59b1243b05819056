// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA activation functions (see ops/activation.hpp);
/// queued on `current_stream(device)`.

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// y, x: [M, N] with dense rows; y may be x.
void activate_rows(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
                   Activation activation);

/// All [M, N] with dense rows; grad_x may be grad_y or x.
void activation_gradient(Cuda device, TensorView<float, Cuda> grad_x, TensorView<const float, Cuda> grad_y,
                         TensorView<const float, Cuda> x, Activation activation);

}  // namespace stofm::backend
