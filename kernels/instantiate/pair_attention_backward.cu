// SPDX-License-Identifier: MIT
#include "stofm/kernels/pair_attention/launch.cuh"

namespace stofm::backend {

std::int64_t pair_attention_backward_bytes(const PairAttentionSizes& sizes, std::int64_t nodes) {
  return kernels::pair_backward_bytes(sizes, nodes);
}
void pair_attention_backward(CudaStream stream, const PairAttentionSizes& sizes,
                             const PairAttentionBackward& args) {
  kernels::launch_pair_backward_preparation(stream, sizes, args);
  kernels::pair_backward_queries(stream, sizes, args);
  kernels::pair_backward_keys(stream, sizes, args);
}
void pair_background_gradient(CudaStream stream, const float* grad_pairs, std::int64_t pairs,
                              std::int64_t heads, float* grad_background, float* workspace) {
  kernels::launch_pair_background_gradient(stream, grad_pairs, pairs, heads, grad_background, workspace);
}

}  // namespace stofm::backend
