// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tiles and shared memory of the Gaussian bias kernels: host C++. A block takes 64 distances at a time and
/// keeps W1 in shared memory while it walks over its tiles.

#include <cstdint>

namespace stofm::kernels {

/// `Units`: Gaussians and hidden units, padded: 32 or 128.
template <int Units>
struct GaussianPolicy {
  static_assert(Units == 32 || Units == 128);
  static constexpr int threads = 256;
  static constexpr int points = 64;                              ///< of a tile
  static constexpr int row_tiles = Units < 64 ? 1 : Units / 64;  ///< of 64 rows of W1
  static constexpr int hidden = 64 * row_tiles;                  ///< columns of a tile of hidden units
  static constexpr int stride = Units + 4, hidden_stride = hidden + 4;
  /// Blocks that share the tiles of a backward pass; each leaves one partial sum. Fixed, so that the sums do
  /// not depend on the device.
  static constexpr int most_blocks = 128;
  static constexpr std::int64_t shared_limit = 163 * 1024;
};

constexpr int gaussian_padded_units(std::int64_t gaussians) {
  return gaussians < 1 ? 0 : gaussians <= 32 ? 32 : gaussians <= 128 ? 128 : 0;
}
constexpr std::int64_t gaussian_tiles(std::int64_t count) { return (count + 63) / 64; }
constexpr std::int64_t gaussian_backward_blocks(std::int64_t count) {
  return gaussian_tiles(count) < 128 ? gaussian_tiles(count) : 128;
}

/// Where each gradient stands in a partial sum.
struct GaussianPartial {
  std::int64_t w1, b1, means, stds, w2, b2, w, b, size;
};
constexpr GaussianPartial gaussian_partial(std::int64_t k, std::int64_t h) {
  const std::int64_t b1 = k * k, means = b1 + k, stds = means + k, w2 = stds + k, b2 = w2 + h * k, w = b2 + h;
  return {0, b1, means, stds, w2, b2, w, w + 1, w + 2};
}

}  // namespace stofm::kernels
