// SPDX-License-Identifier: MIT
#include "stofm/kernels/optimizer/global_norm.cuh"

namespace stofm::backend {

void adamw_step(Cuda device, std::span<const CudaParameter> parameters, const CudaAdamWOptions& options) {
  kernels::adamw_step(device, parameters, options);
}
double global_norm(Cuda device, std::span<const CudaParameter> parameters) {
  return kernels::global_norm(device, parameters);
}

}  // namespace stofm::backend
