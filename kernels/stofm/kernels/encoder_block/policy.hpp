// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Shapes of the row kernels of the encoder block: a warp owns a row and each of its lanes every 32nd group
/// of four columns, so a row of W columns takes `chunks(W)` float4 registers per lane and no shared memory.

#include <cstdint>

namespace stofm::kernels::encoder_block {

struct RowPolicy {
  static constexpr int warps = 8, threads = warps * 32;  ///< rows per block
  static constexpr int columns_per_chunk = 128;  ///< 32 lanes of four columns
  static constexpr std::int64_t widest_row = 1024;

  /// A width that the row kernels take.
  static constexpr bool supports(std::int64_t columns) {
    return columns >= 4 && columns % 4 == 0 && columns <= widest_row;
  }
  /// Registers of four columns per lane: 1, 2, 4 or 8.
  static constexpr int chunks(std::int64_t columns) {
    const std::int64_t needed = (columns + columns_per_chunk - 1) / columns_per_chunk;
    return needed <= 1 ? 1 : needed <= 2 ? 2 : needed <= 4 ? 4 : 8;
  }
};

}  // namespace stofm::kernels::encoder_block
