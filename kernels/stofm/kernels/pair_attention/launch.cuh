// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the launches of pair attention share: the choice of a kernel by precision and width, checks, sizes.
/// The launches themselves are in launch_forward.cuh, launch_backward.cuh and launch_operands.cuh, so that a
/// translation unit compiles only the kernels it launches.

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/core/error.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/tile_product.cuh"
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

/// The two passes, each compiled on its own (instantiate/pair_attention_backward_*.cu).
void pair_backward_queries(CudaStream stream, const backend::PairAttentionSizes& sizes,
                           const backend::PairAttentionBackward& args);
void pair_backward_keys(CudaStream stream, const backend::PairAttentionSizes& sizes,
                        const backend::PairAttentionBackward& args);

}  // namespace stofm::kernels
