// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sizes of the kernels that sort listed pairs into strips: host C++, tested without a device.

#include <cstdint>

#include "stofm/backend/cuda/pair_batch.hpp"

namespace stofm::kernels::pair_index {

struct PairIndexPolicy {
  static constexpr int warps = 8;  ///< of a block, each with a strip of its own
  static constexpr std::int64_t tile = backend::pair_tile, strip_rows = backend::pair_strip_rows;
  /// Strips of a full tile and one tile of the other side.
  static constexpr std::int64_t strips_per_tile = tile / strip_rows;
};
// By row, one half of a warp finds where the part of each row begins, the other half where it ends. By
// column, a lane holds two rows, and the columns of a strip are bits of one word.
static_assert(2 * PairIndexPolicy::strip_rows == 32 && PairIndexPolicy::tile == 2 * 32);
static_assert(PairIndexPolicy::strip_rows * PairIndexPolicy::tile <= 1 << 16);  // positions: 16 bits

}  // namespace stofm::kernels::pair_index
