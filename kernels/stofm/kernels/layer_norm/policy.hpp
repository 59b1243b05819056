// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tiles of layer normalisation.

#include <cstdint>

namespace stofm::kernels {

/// A warp owns a row at a time; no shared memory forward.
struct LayerNormPolicy {
  static constexpr int warps = 4;  ///< per block
  static constexpr int threads = warps * 32;
  static constexpr int largest_in_registers = 1024;  ///< columns; longer rows are read three times
};

}  // namespace stofm::kernels
