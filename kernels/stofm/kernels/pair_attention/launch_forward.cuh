// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launch of the forward pass of pair attention.

#include "stofm/kernels/gemm/problem.hpp"
#include "stofm/kernels/pair_attention/launch.cuh"
#include "stofm/kernels/pair_attention/pair_attention_forward.cuh"

namespace stofm::kernels {

template <class Policy = PairAttentionPolicy>
void launch_pair_forward(CudaStream stream, const backend::PairAttentionSizes& sizes,
                         backend::PairAttentionForward args) {
  check_pair_layers(args.layer.layers);
  if (left_form(sizes.precision) == OperandForm::float32) args.y_operand = nullptr;  // y itself
  with_pair_kernel(sizes, [&]<backend::Precision P, int Width>() {
    const PairSharedPlan plan = pair_forward_shared<Policy>(P, Width, args.layer.layers);
    launch(pair_attention_forward_kernel<P, Width, Policy>,
           {.grid = dim3(blocks(args.layer.batch.tiles * sizes.heads)),
            .block = dim3(Policy::threads),
            .shared_bytes = static_cast<std::size_t>(plan.bytes),
            .stream = stream,
            .name = "pair_attention_forward"},
           PairForwardParams{args, sizes.heads, sizes.head_dim, plan.resident});
  });
}

}  // namespace stofm::kernels
