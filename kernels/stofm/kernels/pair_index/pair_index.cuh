// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The strips by row that pair attention reads (backend/cuda/pair_batch.hpp), from the rows of listed pairs
/// of a batch: what PairBatchPlan writes, to the bit, without sorting. The columns of a row ascend, so those
/// before a tile are known from a search, and with them where each strip begins: one launch, no sums over
/// strips.
///
/// A warp a strip, 8 a block, a block a tile of 64 nodes. No shared memory, no atomics; deterministic.
/// Limiter: latency of the searches (a strip of the published sizes has 140 entries of 10 bytes, and 16 rows
/// of some 8 steps).

#include "stofm/backend/cuda/pair_batch.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/warp.cuh"

namespace stofm::kernels::pair_index {

struct PairIndexPolicy {
  static constexpr int warps = 8;  ///< of a block, each with a strip of its own
  static constexpr std::int64_t tile = backend::pair_tile, strip_rows = backend::pair_strip_rows;
  /// Strips of a full tile and one tile of the other side.
  static constexpr std::int64_t strips_per_tile = tile / strip_rows;
};
// One half of a warp finds where the part of each row begins, the other half where it ends.
static_assert(2 * PairIndexPolicy::strip_rows == warp_size);
static_assert(PairIndexPolicy::strip_rows * PairIndexPolicy::tile <= 1 << 16);  // positions: 16 bits

struct StripParams {
  backend::PairBatch batch;         // tiles, slices and nodes; no strips
  const std::int64_t* row_offsets;  // [nodes + 1] into columns, over all slices
  const std::int32_t* columns;      // [entries] within the slice, strictly ascending in a row
  std::int64_t* offsets;            // [strips + 1]
  std::uint16_t* positions;         // [entries]
  std::int32_t* entries;            // [entries]
};

/// One strip: 16 own nodes from `own`, up to 64 others from `other`, counted within the slice.
struct Strip {
  std::int64_t number, first_node, nodes, own, other;
};
/// Calls `run(strip)` for each strip of the block's tile that is this warp's.
template <class Policy, class Run>
__device__ __forceinline__ void for_each_strip(const backend::PairBatch& batch, const Run& run) {
  const std::int32_t slice = batch.tile_slice[blockIdx.x];
  const std::int64_t first_node = batch.node_offsets[slice],
                     nodes = batch.node_offsets[slice + 1] - first_node,
                     tile_first = batch.tile_first[blockIdx.x], others = ceil_div(nodes, Policy::tile);
  const std::int64_t own_strips =
      minimum(Policy::strips_per_tile, ceil_div(nodes - tile_first, Policy::strip_rows));
  for (std::int64_t at = warp(); at < own_strips * others; at += Policy::warps) {
    const std::int64_t own = tile_first + at / others * Policy::strip_rows, other = at % others;
    run(Strip{batch.first_strip[slice] + own / Policy::strip_rows * others + other, first_node, nodes, own,
              other * Policy::tile});
  }
}

/// The first of entries begin .. end of one row whose column is not below `column`.
__device__ __forceinline__ std::int64_t first_from(const std::int32_t* columns, std::int64_t begin,
                                                   std::int64_t end, std::int64_t column) {
  while (begin < end) {
    const std::int64_t middle = begin + (end - begin) / 2;
    if (columns[middle] < column)
      begin = middle + 1;
    else
      end = middle;
  }
  return begin;
}

/// Grid: a block per tile.
template <class Policy>
static __global__ void list_strips_by_row(const StripParams p) {
  for_each_strip<Policy>(p.batch, [&](const Strip& strip) {
    const std::int64_t* rows = p.row_offsets + strip.first_node;
    const std::int64_t row = strip.own + lane() % Policy::strip_rows;
    const bool ends = lane() >= Policy::strip_rows;
    std::int64_t at = 0, before = 0;  // of this row: where its part begins or ends; entries before the part
    if (row < strip.nodes) {
      at = first_from(p.columns, rows[row], rows[row + 1], strip.other + (ends ? Policy::tile : 0));
      if (!ends) before = at - rows[row];
    }
    std::int64_t place = rows[strip.own] + warp_sum(before);
    if (lane() == 0 && strip.number == 0) p.offsets[0] = 0;
    for (int r = 0; r < Policy::strip_rows; ++r) {
      const std::int64_t begin = shuffle(at, r), count = shuffle(at, r + Policy::strip_rows) - begin;
      for (std::int64_t i = lane(); i < count; i += warp_size) {
        p.positions[place + i] =
            static_cast<std::uint16_t>(r * Policy::tile + p.columns[begin + i] - strip.other);
        p.entries[place + i] = static_cast<std::int32_t>(begin + i);
      }
      place += count;
    }
    if (lane() == 0) p.offsets[strip.number + 1] = place;
  });
}

/// Queues the kernel. `batch`: nodes, slices and tiles, as PairBatchPlan::add_nodes leaves them, at least one
/// node; entries and pairs are not read.
inline void launch_strips_by_row(CudaStream stream, const StripParams& params) {
  launch(list_strips_by_row<PairIndexPolicy>,
         {.grid = {blocks(params.batch.tiles)},
          .block = {PairIndexPolicy::warps * warp_size},
          .stream = stream,
          .name = "list_strips_by_row"},
         params);
}

}  // namespace stofm::kernels::pair_index
