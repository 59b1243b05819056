// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tiles, limits and error bounds of the k-means kernels: host C++, tested without a device.

#include <cstdint>

namespace stofm::kernels::kmeans {

inline constexpr std::int64_t most_columns = 1024;
inline constexpr std::int64_t most_clusters = 4096;
inline constexpr std::int64_t most_trials = 12;  ///< 2 + log(most_clusters) candidates of k-means++ fit

/// Narrower rows than this are scanned exactly: a tile of tensor cores would be mostly padding.
inline constexpr std::int64_t margin_tile_from_columns = 48;

/// Exact scan: a block has `rows` rows against `centres` centres at a time, 4 x 4 sums a thread, `Columns`
/// columns of both in shared memory.
template <int Columns>
struct ExactScan {
  static constexpr int threads = 256, rows = 64, centres = 64, columns = Columns;
  static constexpr int rows_per_thread = 4, centres_per_thread = 4;
  static constexpr int pitch = rows + 4;  ///< floats; keeps float4 loads aligned, spreads the stores
  static_assert(rows / rows_per_thread * centres / centres_per_thread == threads,
                "one 4 x 4 patch of sums per thread");
};
using ExactScanPolicy = ExactScan<16>;
using NarrowScanPolicy = ExactScan<4>;  ///< points of the plane: 16 columns would be 14 of padding

/// Margin tile: a block keeps its rows, split in two bfloat16, in shared memory and streams the centres past
/// them, `centres` at a time, `columns` of them per stage. Eight warps in `warp_rows` x `warp_columns`.
struct MarginTilePolicy {
  static constexpr int threads = 256, centres = 128, columns = 32, stages = 2;
  static constexpr int padding = 8;  ///< bfloat16 a row: 16 bytes, so that ldmatrix meets every bank once
  static constexpr int centre_pitch = columns + padding;

  /// Columns rounded up to whole stages.
  static constexpr std::int64_t padded_columns(std::int64_t columns_given) {
    return (columns_given + columns - 1) / columns * columns;
  }
  static constexpr std::int64_t padded_centres(std::int64_t centres_given) {
    return (centres_given + centres - 1) / centres * centres;
  }
  /// Shared memory of a block of `rows` rows: rows and stages (high and low part each), |c|^2, the lists of
  /// the two (or one, or four) warps that share a row.
  static constexpr std::int64_t shared_bytes(std::int64_t rows, std::int64_t columns_given) {
    const std::int64_t row_part = rows * (padded_columns(columns_given) + padding) * 2;
    const std::int64_t stage_part = std::int64_t{centres} * centre_pitch * 2;
    return 2 * row_part + stages * 2 * stage_part + rows * 4 + rows * warp_columns(rows) * 24;
  }
  /// Warps side by side over the centres: 8 warps, 32 rows each (16 where a block has 16 rows).
  static constexpr int warp_columns(std::int64_t rows) { return static_cast<int>(8 * 32 / rows); }
  /// Whether even the smallest block fits: rows of more than 896 columns do not on sm_80.
  static constexpr bool fits(std::int64_t columns_given, std::int64_t shared_limit) {
    return shared_bytes(32, columns_given) <= shared_limit;
  }
  /// Rows of a block: the most of 128, 64, 32 that fit `shared_limit` bytes and give 128 blocks.
  static constexpr int rows_for(std::int64_t rows_given, std::int64_t columns_given,
                                std::int64_t shared_limit) {
    for (const int rows : {128, 64})
      if (shared_bytes(rows, columns_given) <= shared_limit && rows_given >= 128 * rows) return rows;
    return 32;
  }
};
static_assert(MarginTilePolicy::shared_bytes(32, most_columns) <= 227 * 1024, "fits sm_90");
static_assert(MarginTilePolicy::shared_bytes(128, 256) <= 227 * 1024, "the benchmark's width has 128 rows");
static_assert(MarginTilePolicy::shared_bytes(64, 256) <= 163 * 1024, "fits sm_80");

/// How far scores may be from the truth, relative to |x| |c|, and squared distances of the CPU from theirs.
/// Split: x = high + low + rest with |rest| <= 2^-18 |x|, and high.high + high.low + low.high is kept, so
/// three terms of 2^-18 are lost. Accumulation: an mma adds 16 products to its sum with 24 bits or more, cut
/// off, so it errs by at most 18 * 2^-23 of the largest term; there are 3 per 16 columns. Both are worst
/// cases.
struct MarginBounds {
  float scores;     ///< times |x| |c|
  float distances;  ///< times the squared distance: (C + 2) roundings of 2^-24
};
constexpr MarginBounds margin_bounds(std::int64_t columns) {
  const double steps = 3.0 * static_cast<double>((columns + 15) / 16);
  return {static_cast<float>(2.0 * (3.1 * 0x1p-18 + 18.0 * steps * 0x1p-23)),
          static_cast<float>(1.01 * static_cast<double>(columns + 2) * 0x1p-24)};
}

/// Work on rows is cut into at most 16 parts whose borders depend on N only (cluster/mini_batch_kmeans.hpp).
constexpr std::int64_t part_rows(std::int64_t n) {
  const std::int64_t sixteenth = (n + 15) / 16;
  return sixteenth > 1024 ? sixteenth : 1024;
}
constexpr std::int64_t parts(std::int64_t n) { return (n + part_rows(n) - 1) / part_rows(n); }

/// Batches queued between two looks at whether to stop.
inline constexpr std::int64_t batches_per_look = 16;

}  // namespace stofm::kernels::kmeans
