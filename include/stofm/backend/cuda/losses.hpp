// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA losses with their gradients (definitions: autograd/rules/losses.hpp); queued on
/// `current_stream(device)`. `sum`: one double on the device, the sum over all targets; `gradient`: of that
/// sum. Matrices have dense rows. All *deterministic*. *Cost* 8 bytes a row from the pool.

#include <cstdint>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// sum (x - target)^2. All [M, N].
void squared_error(Cuda device, double* sum, TensorView<float, Cuda> gradient,
                   TensorView<const float, Cuda> x, TensorView<const float, Cuda> target);
/// sum_i 1 - cos(x_i, target_i). All [M, N].
void cosine_loss(Cuda device, double* sum, TensorView<float, Cuda> gradient, TensorView<const float, Cuda> x,
                 TensorView<const float, Cuda> target);
/// sum_i -weights_i log softmax(logits_i)[targets_i]. targets: [M] on the device, in range where the weight
/// is not 0; weights: [M] on the device, or null: 1 each. gradient may be the logits.
void cross_entropy(Cuda device, double* sum, TensorView<float, Cuda> gradient,
                   TensorView<const float, Cuda> logits, const std::int32_t* targets, const float* weights);

}  // namespace stofm::backend
