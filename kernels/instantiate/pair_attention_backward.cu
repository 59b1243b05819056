// SPDX-License-Identifier: MIT
#include "stofm/kernels/pair_attention/launch.cuh"

namespace stofm::backend {

std::int64_t pair_attention_backward_bytes(const PairAttentionSizes& sizes, std::int64_t nodes) {
  return kernels::pair_backward_bytes(sizes, nodes);
}
void pair_attention_backward(CudaStream stream, const PairAttentionSizes& sizes,
                             const PairAttentionBackward& args) {
  kernels::check_pair_layers(args.layer.layers);
  if (!args.prepared) {
    const PairPack grad_y{PairOperand::value, args.grad_y, args.grad_y_stride, args.workspace};
    pair_attention_pack(stream, sizes, args.layer.batch.nodes, {&grad_y, 1});
    kernels::launch_pair_row_products(stream, sizes, args);
  }
  kernels::launch_pair_backward_pass<kernels::PairSide::queries>(stream, sizes, args);
  kernels::launch_pair_backward_pass<kernels::PairSide::keys>(stream, sizes, args);
}

}  // namespace stofm::backend
