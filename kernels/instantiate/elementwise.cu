// SPDX-License-Identifier: MIT
#include "stofm/kernels/elementwise/elementwise.cuh"

#include "stofm/backend/cuda/activation.hpp"
#include "stofm/backend/cuda/elementwise.hpp"
#include "stofm/kernels/activation/activation_backward.cuh"

namespace stofm::backend {

void activate_rows(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
                   Activation activation) {
  kernels::launch_rows<kernels::RowPolicy>(
      kernels::activation_rows<kernels::RowPolicy>, x.dim(0), current_stream(device), "activation",
      {kernels::rows_of(y), kernels::rows_of(x), x.dim(0), x.dim(1), activation});
}
void activation_gradient(Cuda device, TensorView<float, Cuda> grad_x, TensorView<const float, Cuda> grad_y,
                         TensorView<const float, Cuda> x, Activation activation) {
  kernels::launch_rows<kernels::RowPolicy>(kernels::activation_gradient_rows<kernels::RowPolicy>, x.dim(0),
                                           current_stream(device), "activation_gradient",
                                           {kernels::rows_of(grad_x), kernels::rows_of(grad_y),
                                            kernels::rows_of(x), x.dim(0), x.dim(1), activation});
}

void convert(Cuda device, bfloat16* y, const float* x, std::int64_t count) {
  kernels::launch_convert<bfloat16, float>({y, x, count}, current_stream(device));
}
void convert(Cuda device, float* y, const bfloat16* x, std::int64_t count) {
  kernels::launch_convert<float, bfloat16>({y, x, count}, current_stream(device));
}
void dropout(Cuda device, float* y, const float* x, std::int64_t count, const DropoutMask& mask,
             float factor) {
  kernels::launch_dropout({y, x, count, kernels::dropout_params(mask, static_cast<double>(factor))},
                          current_stream(device));
}

}  // namespace stofm::backend
