// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA layer normalisation and its gradient (see ops/layer_norm.hpp);
/// queued on `current_stream(device)`. [M, N] with dense rows; `residual` may
/// be a view without data.

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// gamma, beta: [N]. y may be x, not residual.
void layer_norm(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
                TensorView<const float, Cuda> residual, const float* gamma, const float* beta, double eps);

/// gamma: [N]; grad_gamma, grad_beta: [N] or null, added to. grad_z may be grad_y. *Deterministic*. *Cost* 8
/// M bytes and 16 N bytes per 256 rows from the pool.
void layer_norm_gradient(Cuda device, TensorView<float, Cuda> grad_z, float* grad_gamma, float* grad_beta,
                         TensorView<const float, Cuda> grad_y, TensorView<const float, Cuda> x,
                         TensorView<const float, Cuda> residual, const float* gamma, double eps);

}  // namespace stofm::backend
