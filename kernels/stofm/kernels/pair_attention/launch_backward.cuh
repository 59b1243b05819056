// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launch of one pass of the backward pass of pair attention.

#include "stofm/kernels/pair_attention/launch.cuh"
#include "stofm/kernels/pair_attention/pair_attention_backward.cuh"

namespace stofm::kernels {

/// One pass of backward.
template <PairSide Side, class Policy = PairAttentionPolicy>
void launch_pair_backward_pass(CudaStream stream, const backend::PairAttentionSizes& sizes,
                               const backend::PairAttentionBackward& args) {
  const std::int64_t nodes = args.layer.batch.nodes;
  auto* workspace = static_cast<std::byte*>(args.workspace);
  const auto* products = reinterpret_cast<const float*>(workspace + packed_operand_bytes(sizes, nodes));
  with_pair_kernel(sizes, [&]<backend::Precision P, int Width>() {
    const PairSharedPlan plan = pair_backward_shared<Policy>(P, Width, args.layer.layers);
    launch(pair_attention_backward_kernel<P, Width, Side, Policy>,
           {.grid = dim3(blocks(args.layer.batch.tiles * sizes.heads),
                         static_cast<unsigned>(pair_layer_groups(Width, args.layer.layers))),
            .block = dim3(Policy::threads),
            .shared_bytes = static_cast<std::size_t>(plan.bytes),
            .stream = stream,
            .name = Side == PairSide::queries ? "pair_attention_backward_queries"
                                              : "pair_attention_backward_keys"},
           PairBackwardParams{args, workspace, products, sizes.heads, sizes.head_dim,
                              static_cast<float>(sizes.scale), plan.resident});
  });
}

}  // namespace stofm::kernels
