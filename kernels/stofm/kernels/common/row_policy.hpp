// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tiles of the kernels that give each row of a matrix to a warp.

namespace stofm::kernels {

/// A warp walks its row, lane l columns l, l + 32, ...: reads and writes of a warp are next to each other.
/// Later walks over the same row come from the caches. (Rows in registers: encoder_block/policy.hpp.)
struct RowPolicy {
  static constexpr int warps = 8;  ///< rows per block
  static constexpr int threads = warps * 32;
};

}  // namespace stofm::kernels
