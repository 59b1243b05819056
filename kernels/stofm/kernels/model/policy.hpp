// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Shapes of the row kernels of the SE(2) Transformer: host C++, tested without a device. A warp owns a row
/// as in encoder_block/policy.hpp; sums over rows (gradients of biases and norms) are made per block of
/// consecutive rows and then added in the order of the blocks, so they are the same in every run.

#include <cstdint>

#include "stofm/kernels/encoder_block/policy.hpp"

namespace stofm::kernels::se2 {

struct RowPolicy : encoder_block::RowPolicy {
  static constexpr std::int64_t most_sum_blocks = 256;  ///< partial sums of a gradient over rows

  /// Rows of one block of a kernel that sums over rows: a multiple of `warps`.
  static constexpr std::int64_t rows_per_sum_block(std::int64_t rows) {
    const std::int64_t share = (rows + most_sum_blocks - 1) / most_sum_blocks;
    return share <= warps ? warps : (share + warps - 1) / warps * warps;
  }
  static constexpr std::int64_t sum_blocks(std::int64_t rows) {
    const std::int64_t each = rows_per_sum_block(rows);
    return (rows + each - 1) / each;
  }
};

/// The pair head: a block takes tiles of 128 pairs; weights, a tile and the sums of the gradients in shared
/// memory.
struct PairHeadPolicy {
  static constexpr int threads = 128;
  static constexpr std::int64_t most_blocks = 256;
  static constexpr std::int64_t most_heads = 64;
  /// Gradients that one block sums: W0, b0, w2, b2.
  static constexpr std::int64_t sums(std::int64_t heads) { return heads * heads + 2 * heads + 1; }
  /// Values, gradients and activations of a tile (rows one float apart from a multiple of 32 banks), W0, b0,
  /// w2, sums, errors.
  static constexpr std::int64_t shared_bytes(std::int64_t heads) {
    return 4 * (3 * threads * (heads + 1) + heads * heads + 2 * heads + sums(heads) + threads);
  }
  static constexpr std::int64_t blocks(std::int64_t pairs) {
    const std::int64_t tiles = (pairs + threads - 1) / threads;
    return tiles < most_blocks ? tiles : most_blocks;
  }
};
static_assert(PairHeadPolicy::shared_bytes(PairHeadPolicy::most_heads) <= 163 * 1024, "fits an SM of sm_80");

}  // namespace stofm::kernels::se2
