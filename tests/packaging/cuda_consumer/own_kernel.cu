// SPDX-License-Identifier: MIT
#include "stofm/kernels/layer_norm/launch.cuh"

void normalise(const stofm::kernels::LayerNormParams& params, stofm::backend::CudaStream stream) {
  stofm::kernels::launch_layer_norm(params, stream);
}
