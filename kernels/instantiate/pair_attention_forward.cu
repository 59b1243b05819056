// SPDX-License-Identifier: MIT
#include "stofm/kernels/pair_attention/launch.cuh"

namespace stofm::backend {

std::int64_t pair_operand_bytes(const PairAttentionSizes& sizes, std::int64_t nodes) {
  return kernels::packed_operand_bytes(sizes, nodes);
}
void pair_attention_pack(CudaStream stream, const PairAttentionSizes& sizes, std::int64_t nodes,
                         std::span<const PairPack> operands) {
  kernels::launch_pair_pack(stream, sizes, nodes, operands);
}
void pair_attention_forward(CudaStream stream, const PairAttentionSizes& sizes,
                            const PairAttentionForward& args) {
  kernels::launch_pair_forward(stream, sizes, args);
}

}  // namespace stofm::backend
