// SPDX-License-Identifier: MIT
// Compiled by the host compiler: no CUDA header is needed to call the kernels.
#include <cstdio>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/backend/cuda/memory.hpp"
#include "stofm/backend/cuda/rows.hpp"

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
  const auto x = backend::to_device(Tensor<float>::full(Shape{2, 4}, 3.0F), Cuda{0});
  Tensor<float, Cuda> y(Shape{2, 4}, Cuda{0});
  backend::l2_normalize_rows(Cuda{0}, y.view(), x.view());
  return backend::to_host(y)(1, 3) == 0.5F ? 0 : 1;
}
