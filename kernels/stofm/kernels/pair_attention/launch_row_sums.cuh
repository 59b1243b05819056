// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launch of the small kernel beside backward of pair attention.

#include "stofm/kernels/pair_attention/launch.cuh"
#include "stofm/kernels/pair_attention/row_sums.cuh"

namespace stofm::kernels {

/// What both passes of backward read beside packed dy.
inline void launch_pair_row_products(CudaStream stream, const backend::PairAttentionSizes& sizes,
                                     const backend::PairAttentionBackward& args) {
  const std::int64_t nodes = args.layer.batch.nodes;
  auto* products =
      reinterpret_cast<float*>(static_cast<std::byte*>(args.workspace) + packed_operand_bytes(sizes, nodes));
  launch(
      pair_row_products_kernel,
      {.grid = dim3(blocks(nodes * sizes.heads, pair_operand_threads)),
       .block = dim3(pair_operand_threads),
       .stream = stream,
       .name = "pair_row_products"},
      {args.y, args.y_stride, args.grad_y, args.grad_y_stride, products, nodes, sizes.heads, sizes.head_dim});
}

}  // namespace stofm::kernels
