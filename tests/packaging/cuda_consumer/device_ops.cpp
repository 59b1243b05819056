// SPDX-License-Identifier: MIT
// Compiled by the host compiler: no CUDA header is needed to call the kernels.
#include <cstdio>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/backend/cuda/memory.hpp"
#include "stofm/ops/layer_norm.hpp"

int main() {
  using namespace stofm;
  if (backend::cuda_device_count() == 0) {
    try {
      Tensor<float, Cuda> nowhere(Shape{4}, Cuda{0});
      return 1;
    } catch (const Error& error) {
      std::printf("no device, and it says so: %s\n", error.what());
      return error.kind() == ErrorKind::device ? 0 : 1;
    }
  }
  const auto x = backend::to_device(Tensor<float>::full(Shape{2, 3}, 1.0F), Cuda{0});
  const auto gamma = backend::to_device(Tensor<float>::full(Shape{3}, 2.0F), Cuda{0});
  Tensor<float, Cuda> y(Shape{2, 3}, Cuda{0});
  ops::layer_norm_into<float, Cuda>(y.view(), x.view(), gamma.view(), gamma.view(), 1e-5);
  return backend::to_host(y)(1, 2) == 2.0F ? 0 : 1;
}
