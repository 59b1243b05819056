// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tiles and shared memory of the pair attention kernels: host C++, so that its arithmetic is tested without
/// a device. A block has warps of 16 rows; operands of 64 rows ("chunks") stream through `stages` buffers,
/// and the block's own operands stay in shared memory where they fit.

#include <cstdint>

#include "stofm/backend/cuda/pair_batch.hpp"
#include "stofm/backend/cuda/precision.hpp"

namespace stofm::kernels {

inline constexpr float log2_e = 1.44269504088896340736F, ln_2 = 0.69314718055994530942F;

/// `Warps`: 4 (64 own rows) or 8 (128 own rows: every chunk of the other side serves twice as many, and there
/// are half as many blocks).
template <int Warps>
struct PairBlockPolicy {
  static_assert(Warps == 4 || Warps == 8);
  static constexpr int warps = Warps;
  static constexpr int threads = warps * 32;
  static constexpr int rows = warps * 16;       ///< of a block
  static constexpr int own_chunks = rows / 64;  ///< of an operand
  static constexpr int stages = 2;              ///< chunks in flight and in use
  /// Columns of gradients that one block of backward keeps in registers: 2 floats a thread each.
  static constexpr int gradient_columns = 128;
  /// Shared memory a block may use: the limit of sm_80, also on sm_90 (two blocks of 81 KB share an SM there
  /// and here).
  static constexpr std::int64_t shared_limit = 163 * 1024;
  static constexpr std::int64_t strip_bytes = std::int64_t{warps} * 16 * 72 * 4;
  /// Backward: log sums and row products of 64 rows.
  static constexpr std::int64_t row_bytes = 2 * 64 * 4;
};
/// What the library launches.
using PairAttentionPolicy = PairBlockPolicy<4>;
static_assert(backend::pair_tile == 64 && backend::pair_strip_rows == 16,
              "tiles and strips of PairBatchPlan");

/// Width in shared memory of heads of `head_dim`: 16, 32 or 64; 0: no kernel.
constexpr int pair_padded_width(std::int64_t head_dim) {
  return head_dim < 1 ? 0 : head_dim <= 16 ? 16 : head_dim <= 32 ? 32 : head_dim <= 64 ? 64 : 0;
}
constexpr std::int64_t pair_operand_parts(backend::Precision precision) {
  return precision == backend::Precision::float32 || precision == backend::Precision::bf16 ? 1 : 2;
}
constexpr std::int64_t pair_element_bytes(backend::Precision precision) {
  return precision == backend::Precision::float32 ? 4 : 2;
}
/// Bytes of a chunk, as TileLayout.
constexpr std::int64_t pair_chunk_bytes(backend::Precision precision, int width) {
  return pair_operand_parts(precision) * 64 * (width * pair_element_bytes(precision) + 16);
}

/// How one launch uses shared memory.
struct PairSharedPlan {
  bool resident = true;  ///< the block's own operands stay; else they stream beside the others
  std::int64_t bytes = 0;
};

/// `own` operands: the layers in forward, one more in backward.
template <class Policy>
constexpr PairSharedPlan pair_shared_plan(backend::Precision precision, int width, std::int64_t own,
                                          std::int64_t extra_bytes) {
  const std::int64_t chunk = pair_chunk_bytes(precision, width), fixed = Policy::strip_bytes + extra_bytes;
  const std::int64_t staying = (own * Policy::own_chunks + Policy::stages) * chunk + fixed;
  if (staying <= Policy::shared_limit) return {true, staying};
  return {false, (1 + Policy::own_chunks) * Policy::stages * chunk + fixed};
}
template <class Policy = PairAttentionPolicy>
constexpr PairSharedPlan pair_forward_shared(backend::Precision precision, int width, std::int64_t layers) {
  return pair_shared_plan<Policy>(precision, width, layers, 0);
}
template <class Policy = PairAttentionPolicy>
constexpr PairSharedPlan pair_backward_shared(backend::Precision precision, int width, std::int64_t layers) {
  return pair_shared_plan<Policy>(precision, width, layers + 1, Policy::row_bytes);
}
/// Layers whose gradients a block of backward sums, and blocks per tile and head.
constexpr std::int64_t pair_layers_per_block(int width) {
  return PairAttentionPolicy::gradient_columns / width;
}
constexpr std::int64_t pair_layer_groups(int width, std::int64_t layers) {
  return (layers + pair_layers_per_block(width) - 1) / pair_layers_per_block(width);
}

/// Floating-point operations of one sub-slice of n nodes, products only (times 3 in split_bf16).
constexpr double pair_forward_flop(double n, double heads, double head_dim, double layers) {
  return 2 * n * n * heads * head_dim * (layers + 1);
}
/// Both passes: logits and dA twice, dQ, dK and dV once.
constexpr double pair_backward_flop(double n, double heads, double head_dim, double layers) {
  return 2 * n * n * heads * head_dim * (2 * (layers + 1) + 2 * layers + 1);
}

}  // namespace stofm::kernels
