// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Stable counting sort of N items into B buckets, within each of P parts of the items: the order of equal
/// keys is the order of the items, on every run.
///
/// A tile (up to 256 a part) is counted by one warp: 32 keys at a time, lanes with equal keys find each other
/// by one ballot per bit of the key, the lowest of them adds to the bucket's counter in shared memory. The
/// counts are summed over the tiles of a part, then over the buckets; a second walk over the tiles writes
/// each item to its place. No atomics: the result does not depend on timing. Shared memory: 4 B bytes (8 B in
/// the second walk). Limiter: latency of the warps; 12 bytes of traffic an item. Used for the rows of each
/// cluster (B = K, P = 16) and, eight bits at a time, for radix sorts (B = 256, P = 1).

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/shared.cuh"
#include "stofm/kernels/kmeans/policy.hpp"

namespace stofm::kernels::counting_sort {

/// Keys that are labels: int32 in [0, buckets).
struct LabelKeys {
  const std::int32_t* labels;  // [items]
  __device__ std::uint32_t operator()(std::int64_t i) const { return static_cast<std::uint32_t>(labels[i]); }
};
/// Eight bits of a 64-bit key.
struct ByteKeys {
  const std::uint64_t* keys;  // [items]
  int shift;
  __device__ std::uint32_t operator()(std::int64_t i) const {
    return static_cast<std::uint32_t>(keys[i] >> shift) & 255U;
  }
};

struct Layout {
  std::int64_t items = 0;
  std::int64_t buckets = 0;
  std::int64_t part_items = 0;  ///< items of every part but perhaps the last
  std::int64_t parts = 0;
  std::int64_t tiles_per_part = 0;
  std::int64_t tile_items = 0;  ///< a multiple of 32
};

template <class Keys>
struct Params {
  Keys keys;
  Layout layout;
  std::uint32_t* tile_counts;  // [parts, tiles_per_part, buckets]; after sum_tiles(): items of earlier tiles
  std::uint32_t* totals;       // [parts, buckets]
  std::int64_t* offsets;       // [parts * buckets + 1] place of the first item of each segment
  std::uint32_t* order;        // [items] item at each place, or null
  const std::uint64_t* keys_in;  // null, or keys and values that move along
  std::uint64_t* keys_out;
  const std::uint32_t* values_in;
  std::uint32_t* values_out;
};

/// Bits that tell `buckets` keys apart.
__host__ __device__ __forceinline__ constexpr int key_bits(std::int64_t buckets) {
  int bits = 0;
  while ((std::int64_t{1} << bits) < buckets) ++bits;
  return bits;
}

/// Lanes with this lane's key, among those that are valid.
__device__ __forceinline__ std::uint32_t lanes_with_key(std::uint32_t key, bool valid, int bits) {
  std::uint32_t same = ballot(valid);
  for (int b = 0; b < bits; ++b) {
    const bool set = ((key >> b) & 1U) != 0;
    const std::uint32_t with = ballot(set);
    same &= set ? with : ~with;
  }
  return same;
}

/// First and last item (exclusive) of a tile.
struct TileRange {
  std::int64_t begin, end;
};
__device__ __forceinline__ TileRange tile_range(const Layout& l, std::int64_t tile) {
  const std::int64_t part = tile / l.tiles_per_part;
  const std::int64_t part_end = minimum((part + 1) * l.part_items, l.items);
  const std::int64_t begin = part * l.part_items + tile % l.tiles_per_part * l.tile_items;
  return {minimum(begin, part_end), minimum(begin + l.tile_items, part_end)};
}

/// Grid: one block of one warp per tile of every part. Shared: 4 B bytes.
template <class Keys>
static __global__ void count_tiles(const Params<Keys> p) {
  auto* counters = reinterpret_cast<std::uint32_t*>(shared_bytes());  // [B]
  const std::int64_t tile = blockIdx.x;
  const TileRange range = tile_range(p.layout, tile);
  const auto buckets = static_cast<std::uint32_t>(p.layout.buckets);
  const int bits = key_bits(p.layout.buckets);
  const std::uint32_t lower = (1U << lane()) - 1U;
  for (auto b = static_cast<std::uint32_t>(lane()); b < buckets; b += warp_size) counters[b] = 0;
  warp_sync();
  for (std::int64_t first = range.begin; first < range.end; first += warp_size) {
    const std::int64_t i = first + lane();
    const bool valid = i < range.end;
    const std::uint32_t key = valid ? p.keys(i) : 0U;
    const std::uint32_t same = lanes_with_key(key, valid, bits);
    if (valid && (same & lower) == 0) counters[key] += static_cast<std::uint32_t>(count_bits(same));
    warp_sync();  // the next 32 may belong to the same buckets
  }
  for (auto b = static_cast<std::uint32_t>(lane()); b < buckets; b += warp_size)
    p.tile_counts[tile * p.layout.buckets + b] = counters[b];
}

/// Grid: a thread per (part, bucket). Counts of tiles become counts of the tiles before.
template <class Keys>
static __global__ void sum_tiles(const Params<Keys> p) {
  const std::int64_t segment = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (segment >= p.layout.parts * p.layout.buckets) return;
  const std::int64_t part = segment / p.layout.buckets, bucket = segment % p.layout.buckets;
  std::uint32_t* count = p.tile_counts + part * p.layout.tiles_per_part * p.layout.buckets + bucket;
  std::uint32_t before = 0;
  for (std::int64_t t = 0; t < p.layout.tiles_per_part; ++t, count += p.layout.buckets) {
    const std::uint32_t here = *count;
    *count = before;
    before += here;
  }
  p.totals[segment] = before;
}

inline constexpr int offset_threads = 256;
/// Grid: one block of 256 threads, each a run of neighbouring segments. Shared: 2 KiB.
template <class Keys>
static __global__ void sum_segments(const Params<Keys> p) {
  auto* run_sums = reinterpret_cast<std::int64_t*>(shared_bytes());  // [offset_threads]
  const std::int64_t segments = p.layout.parts * p.layout.buckets;
  const std::int64_t run = ceil_div(segments, offset_threads);
  const std::int64_t begin = minimum(std::int64_t(threadIdx.x) * run, segments);
  const std::int64_t end = minimum(begin + run, segments);
  std::int64_t sum = 0;
  for (std::int64_t s = begin; s < end; ++s) sum += p.totals[s];
  run_sums[threadIdx.x] = sum;
  block_sync();
  for (unsigned step = 1; step < offset_threads; step *= 2) {  // inclusive sums of the runs
    const std::int64_t other = threadIdx.x >= step ? run_sums[threadIdx.x - step] : 0;
    block_sync();
    run_sums[threadIdx.x] += other;
    block_sync();
  }
  std::int64_t place = run_sums[threadIdx.x] - sum;
  for (std::int64_t s = begin; s < end; ++s) {
    p.offsets[s] = place;
    place += p.totals[s];
  }
  if (threadIdx.x == offset_threads - 1) p.offsets[segments] = p.layout.items;
}

/// Grid: as count_tiles. Shared: 8 B bytes, the next free place of each bucket.
template <class Keys>
static __global__ void place_items(const Params<Keys> p) {
  auto* places = reinterpret_cast<std::int64_t*>(shared_bytes());  // [B]
  const std::int64_t tile = blockIdx.x, part = tile / p.layout.tiles_per_part;
  const TileRange range = tile_range(p.layout, tile);
  const auto buckets = static_cast<std::uint32_t>(p.layout.buckets);
  const int bits = key_bits(p.layout.buckets);
  const std::uint32_t lower = (1U << lane()) - 1U;
  for (auto b = static_cast<std::uint32_t>(lane()); b < buckets; b += warp_size)
    places[b] = p.offsets[part * p.layout.buckets + b] + p.tile_counts[tile * p.layout.buckets + b];
  warp_sync();
  for (std::int64_t first = range.begin; first < range.end; first += warp_size) {
    const std::int64_t i = first + lane();
    const bool valid = i < range.end;
    const std::uint32_t key = valid ? p.keys(i) : 0U;
    const std::uint32_t same = lanes_with_key(key, valid, bits);
    std::int64_t place = 0;
    if (valid) {
      place = places[key] + count_bits(same & lower);
      if (p.order != nullptr) p.order[place] = static_cast<std::uint32_t>(i);
      if (p.keys_in != nullptr) {
        p.keys_out[place] = p.keys_in[i];
        p.values_out[place] = p.values_in[i];
      }
    }
    warp_sync();  // everybody has read the places
    if (valid && (same & lower) == 0) places[key] += count_bits(same);
    warp_sync();
  }
}

}  // namespace stofm::kernels::counting_sort
