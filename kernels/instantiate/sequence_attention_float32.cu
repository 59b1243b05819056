// SPDX-License-Identifier: MIT
#include "stofm/kernels/sequence_attention/launch.cuh"

namespace stofm::kernels {

void attention_forward_float32(const AttentionForward& request, backend::CudaStream stream) {
  launch_attention_forward<backend::Precision::float32>(request, stream);
}
void attention_backward_float32(const AttentionBackward& request, backend::CudaStream stream) {
  launch_attention_backward<backend::Precision::float32>(request, stream);
}

}  // namespace stofm::kernels
