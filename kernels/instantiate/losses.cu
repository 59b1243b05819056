// SPDX-License-Identifier: MIT
#include "stofm/kernels/losses/losses.cuh"

#include "stofm/backend/cuda/losses.hpp"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::backend {

using kernels::rows_of;

void squared_error(Cuda device, double* sum, TensorView<float, Cuda> gradient,
                   TensorView<const float, Cuda> x, TensorView<const float, Cuda> target) {
  kernels::DeviceArray<double> losses(device, x.dim(0));
  kernels::launch_squared_error(
      {rows_of(gradient), rows_of(x), rows_of(target), losses.data(), x.dim(0), x.dim(1)}, sum,
      current_stream(device));
}
void cosine_loss(Cuda device, double* sum, TensorView<float, Cuda> gradient, TensorView<const float, Cuda> x,
                 TensorView<const float, Cuda> target) {
  kernels::DeviceArray<double> losses(device, x.dim(0));
  kernels::launch_cosine_loss(
      {rows_of(gradient), rows_of(x), rows_of(target), losses.data(), x.dim(0), x.dim(1)}, sum,
      current_stream(device));
}
void cross_entropy(Cuda device, double* sum, TensorView<float, Cuda> gradient,
                   TensorView<const float, Cuda> logits, const std::int32_t* targets, const float* weights) {
  kernels::DeviceArray<double> losses(device, logits.dim(0));
  kernels::launch_cross_entropy(
      {rows_of(gradient), rows_of(logits), targets, weights, losses.data(), logits.dim(0), logits.dim(1)},
      sum, current_stream(device));
}

}  // namespace stofm::backend
