// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launch of the packing of operands.

#include <span>

#include "stofm/kernels/pair_attention/launch.cuh"
#include "stofm/kernels/pair_attention/pack.cuh"

namespace stofm::kernels {

inline void launch_pair_pack(CudaStream stream, const backend::PairAttentionSizes& sizes, std::int64_t nodes,
                             std::span<const backend::PairPack> operands) {
  if (operands.size() > 4)
    throw UsageError({"STOFM-6053", "", "[pair_attention_pack]", concat(operands.size(), " operands"),
                      "at most 4 at once", "Call it twice."});
  with_pair_kernel(sizes, [&]<backend::Precision P, int Width>() {
    PairPackParams params{{}, nodes, sizes.heads, sizes.head_dim};
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const double factor = operands[i].operand == backend::PairOperand::query
                                ? sizes.scale * static_cast<double>(log2_e)
                                : 1.0;
      params.matrices[i] = {operands[i].from, operands[i].stride, operands[i].to, static_cast<float>(factor)};
    }
    launch(pair_pack_kernel<P, Width>,
           {.grid = dim3(blocks(sizes.heads * nodes * Width, pair_pack_threads),
                         static_cast<unsigned>(operands.size())),
            .block = dim3(pair_pack_threads),
            .stream = stream,
            .name = "pair_pack"},
           params);
  });
}

}  // namespace stofm::kernels
