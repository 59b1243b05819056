// SPDX-License-Identifier: MIT
#include "stofm/kernels/pair_attention/launch_backward.cuh"

namespace stofm::kernels {

void pair_backward_keys(CudaStream stream, const backend::PairAttentionSizes& sizes,
                        const backend::PairAttentionBackward& args) {
  launch_pair_backward_pass<PairSide::keys>(stream, sizes, args);
}

}  // namespace stofm::kernels
