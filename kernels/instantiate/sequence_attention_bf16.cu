// SPDX-License-Identifier: MIT
#include "stofm/kernels/sequence_attention/launch.cuh"

namespace stofm::kernels {

void attention_forward_bf16(const AttentionForward& request, backend::CudaStream stream) {
  launch_attention_forward<backend::Precision::bf16>(request, stream);
}
void attention_backward_bf16(const AttentionBackward& request, backend::CudaStream stream) {
  launch_attention_backward<backend::Precision::bf16>(request, stream);
}

}  // namespace stofm::kernels
