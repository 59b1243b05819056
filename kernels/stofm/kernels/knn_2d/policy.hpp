// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sizes of the kNN kernels: host C++, tested without a device.

#include <cstdint>

namespace stofm::kernels::knn_2d {

inline constexpr std::int64_t most_neighbours = 1024;

/// Points of a leaf and children of a node: one per lane.
inline constexpr std::int64_t fan = 32;
/// Levels of boxes above 2^31 points, leaves included: 2^26, 2^21, 2^16, 2^11, 64, 2 boxes.
inline constexpr int most_levels = 6;

/// Boxes of each level, leaves first; the last level has at most 32.
struct Levels {
  int count = 0;
  std::int64_t boxes[most_levels] = {};
  std::int64_t first[most_levels] = {};  ///< where a level begins among all boxes
  std::int64_t total = 0;
};
constexpr Levels levels_of(std::int64_t points) {
  Levels levels;
  std::int64_t boxes = points;
  do {
    boxes = (boxes + fan - 1) / fan;
    levels.first[levels.count] = levels.total;
    levels.boxes[levels.count++] = boxes;
    levels.total += boxes;
  } while (boxes > fan);
  return levels;
}
static_assert(levels_of(0x7fffffff).count == most_levels, "the stack of a query is long enough");

/// Candidates a warp keeps before it sorts them: a power of two, at least k + 32, at least 64.
constexpr std::int64_t buffer_capacity(std::int64_t k) {
  std::int64_t capacity = 64;
  while (capacity < k + fan) capacity *= 2;
  return capacity;
}
/// Shared memory of a candidate: distance and index.
inline constexpr std::int64_t candidate_bytes = 12;
/// Shared memory of a warp.
constexpr std::int64_t buffer_bytes(std::int64_t k) { return buffer_capacity(k) * candidate_bytes; }

/// Warps of a block: as many of 8 as 48 KiB hold, at least one.
constexpr int warps_for(std::int64_t k) {
  const std::int64_t fit = 48 * 1024 / buffer_bytes(k);
  return fit >= 8 ? 8 : fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
}
static_assert(warps_for(most_neighbours) == 2 && warps_for(49) == 8);

/// Candidates beyond k at which a walk through the tree sorts, to walk on with a nearer bound.
inline constexpr int settle_after = 16;

}  // namespace stofm::kernels::knn_2d
