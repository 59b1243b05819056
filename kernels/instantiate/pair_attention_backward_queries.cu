// SPDX-License-Identifier: MIT
#include "stofm/kernels/pair_attention/launch_backward.cuh"

namespace stofm::kernels {

void pair_backward_queries(CudaStream stream, const backend::PairAttentionSizes& sizes,
                           const backend::PairAttentionBackward& args) {
  launch_pair_backward_pass<PairSide::queries>(stream, sizes, args);
}

}  // namespace stofm::kernels
