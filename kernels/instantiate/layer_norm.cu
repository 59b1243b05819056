// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/layer_norm.hpp"
#include "stofm/kernels/layer_norm/launch.cuh"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::backend {

void layer_norm(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
                TensorView<const float, Cuda> residual, const float* gamma, const float* beta, double eps) {
  kernels::launch_layer_norm({y.data, x.data, residual.data, gamma, beta, y.dim(0), y.dim(1), y.stride(0),
                              x.stride(0), kernels::rows_of(residual).stride, static_cast<float>(eps)},
                             current_stream(device));
}

void layer_norm_gradient(Cuda device, TensorView<float, Cuda> grad_z, float* grad_gamma, float* grad_beta,
                         TensorView<const float, Cuda> grad_y, TensorView<const float, Cuda> x,
                         TensorView<const float, Cuda> residual, const float* gamma, double eps) {
  const std::int64_t rows = x.dim(0), columns = x.dim(1);
  const bool sums = grad_gamma != nullptr || grad_beta != nullptr;
  kernels::DeviceArray<float> statistics(device, 2 * rows);
  kernels::DeviceArray<double> partial(device,
                                       sums ? kernels::ColumnSumsPolicy::workspace(rows, columns, 2) : 0);
  kernels::launch_layer_norm_gradient(
      {kernels::rows_of(grad_z), kernels::rows_of(grad_y), kernels::rows_of(x), kernels::rows_of(residual),
       gamma, statistics.data(), rows, columns, static_cast<float>(eps)},
      grad_gamma, grad_beta, partial.data(), current_stream(device));
}

}  // namespace stofm::backend
