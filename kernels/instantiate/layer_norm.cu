// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/layer_norm.hpp"
#include "stofm/kernels/layer_norm/launch.cuh"

namespace stofm::backend {

void layer_norm(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
                TensorView<const float, Cuda> residual, const float* gamma, const float* beta, double eps) {
  kernels::launch_layer_norm(
      {y.data, x.data, residual.data, gamma, beta, y.dim(0), y.dim(1), y.stride(0), x.stride(0),
       residual.data != nullptr ? residual.stride(0) : 0, static_cast<float>(eps)},
      current_stream(device));
}

}  // namespace stofm::backend
