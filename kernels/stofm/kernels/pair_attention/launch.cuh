// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of pair attention: the choice of a kernel by precision and width, checks, sizes.

#include <span>

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/core/error.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/tile_product.cuh"
#include "stofm/kernels/gemm/problem.hpp"
#include "stofm/kernels/pair_attention/operands.cuh"
#include "stofm/kernels/pair_attention/pair_attention_backward.cuh"
#include "stofm/kernels/pair_attention/pair_attention_forward.cuh"
#include "stofm/kernels/pair_attention/policy.hpp"

namespace stofm::kernels {

/// Calls run.operator()<Precision, Width>(). \throws UsageError STOFM-6050 without such a kernel.
template <class Run>
void with_pair_kernel(const backend::PairAttentionSizes& sizes, const Run& run) {
  using backend::Precision;
  const int width = pair_padded_width(sizes.head_dim);
  if (width == 0 || sizes.heads < 1 || sizes.heads > 65535)
    throw UsageError({"STOFM-6050", "", "[pair_attention]", concat(sizes.heads, " heads of ", sizes.head_dim),
                      concat("1 to 65,535 heads of 1 to ", backend::max_pair_head_dim),
                      "Use --device cpu for this model."});
  const auto by_width = [&]<Precision P>() {
    if (width == 16) return run.template operator()<P, 16>();
    if (width == 32) return run.template operator()<P, 32>();
    return run.template operator()<P, 64>();
  };
  switch (sizes.precision) {
    case Precision::float32:
      return by_width.template operator()<Precision::float32>();
    case Precision::bf16:
      return by_width.template operator()<Precision::bf16>();
    case Precision::split_bf16:
      return by_width.template operator()<Precision::split_bf16>();
  }
}

inline void check_pair_layers(std::int64_t layers) {
  if (layers < 1 || layers > backend::max_pair_layers)
    throw UsageError({"STOFM-6053", "", "[pair_attention]", concat(layers, " layers"),
                      concat("1 to ", backend::max_pair_layers), "Use --device cpu for this model."});
}

inline std::int64_t packed_operand_bytes(const backend::PairAttentionSizes& sizes, std::int64_t nodes) {
  std::int64_t bytes = 0;
  with_pair_kernel(sizes, [&]<backend::Precision P, int Width>() {
    using Layout = TileLayout<P, Width>;
    bytes = Layout::parts * sizes.heads * nodes * Width *
            static_cast<std::int64_t>(sizeof(typename Layout::Element));
  });
  return (bytes + 15) / 16 * 16;
}

inline std::int64_t pair_backward_bytes(const backend::PairAttentionSizes& sizes, std::int64_t nodes) {
  return packed_operand_bytes(sizes, nodes) + sizes.heads * nodes * std::int64_t{sizeof(float)};
}

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
