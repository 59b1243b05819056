// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sizes of the kernels that cut a slice and build its pieces: host C++, tested without a device.

#include <cstdint>

#include "stofm/kernels/knn_2d/policy.hpp"

namespace stofm::kernels::sub_slices {

/// Rows of distances a block lists, one warp each.
inline constexpr int row_warps = 8;
/// Values of a block in a sum over all rows: 256 threads, 16 values each.
inline constexpr int sum_threads = 256;
inline constexpr std::int64_t values_per_thread = 16;
inline constexpr std::int64_t values_per_block = sum_threads * values_per_thread;

/// Bytes of a key below `count`.
constexpr int key_bytes(std::uint64_t count) {
  int bytes = 1;
  while (bytes < 8 && count > (std::uint64_t{1} << (8 * bytes))) ++bytes;
  return bytes;
}

}  // namespace stofm::kernels::sub_slices
