// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the pair attention kernels share: which rows a block owns, chunks from packed operands, listed pairs
/// of a strip, and keep bits in the layout of the accumulators. "Own" is the side a block owns (queries, or
/// keys in one pass of backward), "other" the side it walks over.

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/dropout.cuh"
#include "stofm/kernels/common/tile_product.cuh"
#include "stofm/kernels/pair_attention/policy.hpp"

namespace stofm::kernels {

/// Where a block is: rows of one sub-slice and head. blockIdx.x = tile * heads + head, so that the heads
/// of a tile run near each other in time. Nodes of a batch fit 32 bits (PairBatchPlan).
struct PairPlace {
  int head, slice;
  int node;            ///< of the sub-slice's first node in the batch
  int n;               ///< nodes of the sub-slice
  int first;           ///< first own row, from the start of the sub-slice
  int tiles;           ///< of the other side
  std::int64_t strip;  ///< first strip of this warp's 16 rows

  __device__ PairPlace(const backend::PairBatch& batch, int heads) {
    const int tile = static_cast<int>(blockIdx.x) / heads;
    head = static_cast<int>(blockIdx.x) % heads;
    slice = batch.tile_slice[tile];
    first = batch.tile_first[tile];
    node = batch.node_offsets[slice];
    n = batch.node_offsets[slice + 1] - node;
    tiles = (n + 63) / 64;
    strip = batch.first_strip[slice] + std::int64_t(first / 16 + warp()) * tiles;
  }
  /// Whether this warp has a row at all; if not, its strips do not exist.
  __device__ bool warp_has_rows() const { return first + warp() * 16 < n; }
};

/// Starts the copy of rows [row, row + 64) of a packed operand [parts][heads][nodes][Width] to a chunk, by
/// all `Threads` of the block; rows past the sub-slice become zero.
template <backend::Precision P, int Width, int Threads>
__device__ __forceinline__ void load_chunk(typename TileLayout<P, Width>::Element* to, const void* operand,
                                           const PairPlace& place, std::int64_t heads, std::int64_t nodes,
                                           int row) {
  using Layout = TileLayout<P, Width>;
  using Element = typename Layout::Element;
  constexpr int copies = Width / Layout::per_copy;  // of a row
  constexpr int rows_at_once = Threads / copies;    // by all threads
  static_assert(rows_at_once > 64 || 64 % rows_at_once == 0);
  const int r = static_cast<int>(threadIdx.x) / copies,
            c = static_cast<int>(threadIdx.x) % copies * Layout::per_copy;
  if (rows_at_once > 64 && r >= 64) return;
  const Element* from =
      static_cast<const Element*>(operand) + (place.head * nodes + place.node + row + r) * Width + c;
  Element* at = to + r * Layout::stride + c;
  const int left = place.n - row - r;
  STOFM_UNROLL
  for (int part = 0; part < Layout::parts; ++part) {
    STOFM_UNROLL
    for (int i = 0; i < 64; i += rows_at_once) {
      const bool valid = i < left;
      copy_async_16(at + part * Layout::part + i * Layout::stride, valid ? from + i * Width : from, valid);
    }
    from += heads * nodes * Width;
  }
}

/// The chunks of one walk in order, and the buffers of both sides.
template <backend::Precision P, int Width, class Policy>
struct ChunkStream {
  using Layout = TileLayout<P, Width>;
  using Element = typename Layout::Element;
  struct Chunk {
    const Element* own;    ///< the first of this warp's rows
    const Element* other;  ///< the rows of the other side
  };
  static_assert(Policy::stages == 2, "one group of copies is under way at a time");

  const PairPlace& place;
  std::int64_t heads, nodes;
  Element* own_operands;  // [own operands][own_chunks] chunks, if resident
  Element* stages;        // [stages] of one chunk, or of 1 + own_chunks
  bool resident;
  int stage_number = 0;  // of the next chunk in use

  __device__ int stage_elements() const { return (resident ? 1 : 1 + Policy::own_chunks) * Layout::elements; }
  __device__ Element* stage() const { return stages + stage_number * stage_elements(); }
  /// Starts the copy of rows of the other side, or of the block's own.
  __device__ void load_other(Element* to, const void* operand, int row) const {
    load_chunk<P, Width, Policy::threads>(to, operand, place, heads, nodes, row);
  }
  __device__ void load_own(Element* to, const void* operand) const {
    STOFM_UNROLL
    for (int c = 0; c < Policy::own_chunks; ++c)
      load_other(to + c * Layout::elements, operand, place.first + c * 64);
  }
  __device__ void load_resident(int own_operand, const void* operand) const {
    load_own(own_operands + own_operand * Policy::own_chunks * Layout::elements, operand);
  }
  /// Waits for the next chunk and starts the copy of the one after it, into the buffer that every thread has
  /// left behind at this barrier. `start(buffer)` copies the chunk that follows those it copied before.
  template <class Start>
  __device__ Chunk next(int own_operand, const Start& start) {
    copy_async_wait<0>();
    block_sync();
    const Element* other = stage();
    stage_number ^= 1;
    start(stage());
    copy_async_commit();
    const Element* own = resident ? own_operands + own_operand * Policy::own_chunks * Layout::elements
                                  : other + Layout::elements;
    return {own + warp() / 4 * Layout::elements + warp() % 4 * 16 * Layout::stride, other};
  }
};

/// Listed pairs of one strip of this warp.
struct StripEntries {
  std::int64_t begin = 0, end = 0;
  __device__ StripEntries(const backend::PairStrips& strips, const PairPlace& place, int tile) {
    if (strips.offsets == nullptr || !place.warp_has_rows()) return;
    begin = strips.offsets[place.strip + tile];
    end = strips.offsets[place.strip + tile + 1];
  }
  __device__ bool any() const { return begin < end; }
};

__device__ __forceinline__ int strip_place(std::uint16_t position) {
  return position / 64 * strip_stride + position % 64;
}

/// sums += factor * values of the entries; `value_of(entry)`. Entries of one position are summed by one lane
/// in their order. Uses the warp's strip.
template <class ValueOf>
__device__ __forceinline__ void add_entries(float (&sums)[8][4], const backend::PairStrips& strips,
                                            const StripEntries& range, float* strip, float factor,
                                            const ValueOf& value_of) {
  clear_strip(strip);
  warp_sync();
  for (std::int64_t s = range.begin + lane(); s < range.end; s += warp_size) {
    const std::uint16_t position = strips.positions[s];
    if (s > range.begin && strips.positions[s - 1] == position) continue;  // not the first of its run
    float sum = value_of(strips.entries[s]);
    for (std::int64_t next = s + 1; next < range.end && strips.positions[next] == position; ++next)
      sum += value_of(strips.entries[next]);
    strip[strip_place(position)] = sum * factor;
  }
  warp_sync();
  add_strip(sums, strip);
  warp_sync();
}

/// Calls `take(entry, sum at its position)` for the entries. Uses the warp's strip.
template <class Take>
__device__ __forceinline__ void visit_entries(const float (&sums)[8][4], const backend::PairStrips& strips,
                                              const StripEntries& range, float* strip, const Take& take) {
  store_strip(strip, sums);
  warp_sync();
  for (std::int64_t s = range.begin + lane(); s < range.end; s += warp_size)
    take(strips.entries[s], strip[strip_place(strips.positions[s])]);
  warp_sync();
}

/// Keep bits of this lane's accumulators [16, 64]: bit 4 n + i is that of sums[n][i]. Own rows are queries
/// (OwnKeys false) or keys. A block of eight neighbouring columns of one query (see PairDropoutKeys) is drawn
/// by one lane and handed to those that hold its elements: four draws a lane.
template <bool OwnKeys>
__device__ __forceinline__ std::uint32_t strip_keep_bits(const DropoutParams& mask, int head, int n, int own,
                                                         int other) {
  const std::int64_t groups = (n + 31) / 32;
  const int g = lane() / 4, t = lane() % 4;
  const auto draw = [&](int query, int key) {
    return keep_bits(mask, static_cast<std::uint64_t>(((head * groups + key / 32) * 32 * groups + query) * 4 +
                                                      key % 32 / 8));
  };
  std::uint32_t bits = 0;
  if constexpr (OwnKeys) {
    const int query = other + g * 8 + 2 * t;
    const std::uint32_t drawn = draw(query, own) | (draw(query, own + 8) << 8) |
                                (draw(query + 1, own) << 16) | (draw(query + 1, own + 8) << 24);
    STOFM_UNROLL
    for (int tile = 0; tile < 8; ++tile) {
      const std::uint32_t word = shuffle(drawn, tile * 4 + t) >> g;
      bits |= ((word & 1U) | (word >> 15 & 2U) | (word >> 6 & 4U) | (word >> 21 & 8U)) << (4 * tile);
    }
  } else {
    const int query = own + g, key = other + 8 * t;
    const std::uint32_t drawn = draw(query, key) | (draw(query + 8, key) << 8) |
                                (draw(query, key + 32) << 16) | (draw(query + 8, key + 32) << 24);
    STOFM_UNROLL
    for (int tile = 0; tile < 4; ++tile) {
      const std::uint32_t word = shuffle(drawn, (lane() & 28) + tile) >> (2 * t);
      bits |= ((word & 3U) | (word >> 6 & 12U)) << (4 * tile);
      bits |= ((word >> 16 & 3U) | (word >> 22 & 12U)) << (4 * tile + 16);
    }
  }
  return bits;
}

/// The mask of a sub-slice.
__device__ __forceinline__ DropoutParams slice_mask(const backend::PairDropoutKeys& dropout, int slice) {
  DropoutParams mask;
  for (int i = 0; i < 4; ++i) mask.key[i] = dropout.keys[slice * 4 + i];
  mask.threshold = dropout.threshold;
  mask.factor = dropout.factor;
  return mask;
}

}  // namespace stofm::kernels
