// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The strips that pair attention reads (backend/cuda/pair_batch.hpp), from the rows of listed pairs of a
/// batch: what PairBatchPlan writes, to the bit, without sorting.
///
///   list_strips_by_row     the columns of a row ascend, so those before a tile are known from a search, and
///   with
///                          them where each strip begins: one launch, no sums over strips
///   count_strips_by_column, sums, list_strips_by_column
///                          a strip is a matrix of 64 rows x 16 columns of bits; an entry's place is the
///                          number of bits before it, column by column
///
/// A warp a strip, 8 a block, a block a tile of 64 nodes. No shared memory, no atomics; deterministic.
/// Limiter: latency of the searches (a strip of the published sizes has 140 entries of 10 bytes, and 16 rows
/// of some 8 steps).

#include "stofm/kernels/common/warp.cuh"
#include "stofm/kernels/pair_index/policy.hpp"

namespace stofm::kernels::pair_index {

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

/// The entries of one row within 16 columns.
struct RowBits {
  std::int64_t first;  ///< number of the first of them
  std::uint32_t bits;  ///< which columns are listed
};
template <class Policy>
__device__ __forceinline__ RowBits row_bits(const StripParams& p, const Strip& strip, std::int64_t row) {
  if (row >= strip.nodes) return {0, 0};
  const std::int64_t* rows = p.row_offsets + strip.first_node;
  const std::int64_t end = rows[row + 1];
  RowBits found{first_from(p.columns, rows[row], end, strip.own), 0};
  for (std::int64_t e = found.first; e < end && p.columns[e] < strip.own + Policy::strip_rows; ++e)
    found.bits |= 1U << (p.columns[e] - strip.own);
  return found;
}

/// Counts to `offsets`, which the sums turn into offsets. Grid: a block per tile.
template <class Policy>
static __global__ void count_strips_by_column(const StripParams p) {
  for_each_strip<Policy>(p.batch, [&](const Strip& strip) {
    const RowBits low = row_bits<Policy>(p, strip, strip.other + lane()),
                  high = row_bits<Policy>(p, strip, strip.other + warp_size + lane());
    const int count = warp_sum(count_bits(low.bits) + count_bits(high.bits));
    if (lane() == 0) p.offsets[strip.number] = count;
  });
}
/// Grid: a block per tile.
template <class Policy>
static __global__ void list_strips_by_column(const StripParams p) {
  for_each_strip<Policy>(p.batch, [&](const Strip& strip) {
    const RowBits halves[2] = {row_bits<Policy>(p, strip, strip.other + lane()),
                               row_bits<Policy>(p, strip, strip.other + warp_size + lane())};
    const std::uint32_t lanes_before = (1U << lane()) - 1U;
    std::int64_t place = p.offsets[strip.number];
    for (int column = 0; column < Policy::strip_rows; ++column)
      for (int half = 0; half < 2; ++half) {
        const RowBits& row = halves[half];
        const std::uint32_t bit = 1U << column, listed = ballot((row.bits & bit) != 0);
        if ((row.bits & bit) != 0) {
          const std::int64_t at = place + count_bits(listed & lanes_before);
          p.positions[at] = static_cast<std::uint16_t>(column * Policy::tile + half * warp_size + lane());
          p.entries[at] = static_cast<std::int32_t>(row.first + count_bits(row.bits & (bit - 1)));
        }
        place += count_bits(listed);
      }
  });
}

}  // namespace stofm::kernels::pair_index
