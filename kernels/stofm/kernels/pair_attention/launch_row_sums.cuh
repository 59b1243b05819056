// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the small kernels around pair attention.

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

/// `workspace`: [column_sum_parts, heads].
inline void launch_pair_background_gradient(CudaStream stream, const float* grad_pairs, std::int64_t pairs,
                                            std::int64_t heads, float* grad_background, float* workspace) {
  const auto columns = static_cast<unsigned>(heads);
  const std::size_t shared = sizeof(double) * column_sum_threads / warp_size;
  launch(pair_column_sums_kernel,
         {.grid = dim3(column_sum_parts, columns),
          .block = dim3(column_sum_threads),
          .shared_bytes = shared,
          .stream = stream,
          .name = "pair_background_gradient"},
         {grad_pairs, pairs, heads, workspace});
  launch(pair_column_sums_kernel,
         {.grid = dim3(1, columns),
          .block = dim3(column_sum_threads),
          .shared_bytes = shared,
          .stream = stream,
          .name = "pair_background_gradient"},
         {workspace, column_sum_parts, heads, grad_background});
}

}  // namespace stofm::kernels
