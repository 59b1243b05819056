// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One head of a matrix of packed rows, and its way into tiles of 64 rows in shared memory.

#include "stofm/kernels/common/tile_product.cuh"
#include "stofm/kernels/sequence_attention/policy.hpp"

namespace stofm::kernels {

/// Packed rows in global memory: float32, or bfloat16 with low parts beside the high ones.
template <class Element>
struct HeadSource {
  const Element* data = nullptr;  // row 0 of head 0
  std::int64_t stride = 0;        // between rows
  std::int64_t low = 0;           // from a high part to its low part (split only)
};

template <backend::Precision P, int D>
struct alignas(16) HeadTile {
  using Element = typename TileLayout<P, D>::Element;
  unsigned char bytes[TileLayout<P, D>::bytes];  // bfloat16 is no trivial type
  __device__ __forceinline__ Element* at() { return reinterpret_cast<Element*>(bytes); }
  __device__ __forceinline__ const Element* at() const { return reinterpret_cast<const Element*>(bytes); }
};

/// Queues the copy of `valid` rows from `first_row` on into the tile, zeros below and right of them. All
/// threads of a block take part. Wide: rows and heads start at multiples of 16 bytes, else of 4; known to the
/// compiler, so that no copy needs a division.
template <backend::Precision P, int D, bool Wide>
__device__ __forceinline__ void copy_tile(HeadTile<P, D>& tile,
                                          const HeadSource<typename TileLayout<P, D>::Element>& from,
                                          std::int64_t first_row, int valid, std::int64_t column,
                                          int head_dim) {
  using Layout = TileLayout<P, D>;
  constexpr int per_word = 4 / static_cast<int>(sizeof(typename Layout::Element));
  constexpr int elements = Wide ? Layout::per_copy : per_word, per_row = D / elements;
  constexpr int threads = sequence_attention::TilePolicy::threads, turns = 64 * per_row / threads;
  static_assert(64 * per_row % threads == 0, "every thread copies alike");
  STOFM_UNROLL
  for (int part = 0; part < Layout::parts; ++part) {
    const auto* const base = from.data + first_row * from.stride + column + part * from.low;
    STOFM_UNROLL_BY((Wide ? turns : 1))  // many copies of few bytes unrolled would take the registers
    for (int k = 0; k < turns; ++k) {
      const int i = static_cast<int>(threadIdx.x) + k * threads;
      const int row = i / per_row, at = i % per_row * elements;
      const bool inside = row < valid && at < head_dim;
      const auto* const source = inside ? base + row * from.stride + at : from.data;
      auto* const to = tile.at() + part * Layout::part + row * Layout::stride + at;
      if constexpr (Wide)
        copy_async_16(to, source, inside);
      else
        copy_async_4(to, source, inside);
    }
  }
}

/// This warp's 16 rows of an owned tile.
template <backend::Precision P, int D>
__device__ __forceinline__ const typename TileLayout<P, D>::Element* own_rows(const HeadTile<P, D>& tile) {
  return tile.at() + 16 * warp() * TileLayout<P, D>::stride;
}

}  // namespace stofm::kernels
