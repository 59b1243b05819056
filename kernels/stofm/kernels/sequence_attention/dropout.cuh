// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Keep bits of attention weights in the layout of the accumulators of a 16 x 64 tile. One Philox block names
/// eight neighbouring keys of one query; the lanes of a warp draw different blocks and hand them round, so no
/// block is drawn twice.

#include "stofm/kernels/common/dropout.cuh"
#include "stofm/kernels/common/warp.cuh"
#include "stofm/kernels/sequence_attention/request.hpp"

namespace stofm::kernels {

/// Weights from one query to the next.
__device__ __forceinline__ std::int64_t weight_row(const AttentionTile& tile) {
  return (std::int64_t(tile.keys) + 15) / 16 * 16;
}
/// Number of the weight (query 0 of the sequence, key 0) of a head.
__device__ __forceinline__ std::int64_t first_weight_of(const AttentionTile& tile, int head) {
  return tile.first_weight + std::int64_t(head) * tile.queries * weight_row(tile);
}

/// Rows are queries, columns 64 keys from a multiple of 64 on. `weight`: number of the weight at (row 0 of
/// the warp's 16, column 0). keep(j, i) answers for s[j][i].
struct KeepAlongKeys {
  std::uint32_t words[4];

  __device__ __forceinline__ KeepAlongKeys(const DropoutParams& mask, std::int64_t weight,
                                           std::int64_t row_weights) {
    const int group = lane() / 4, place = lane() % 4;
    std::uint32_t mine = 0;
    STOFM_UNROLL
    for (int j = 0; j < 2; ++j) STOFM_UNROLL
    for (int r = 0; r < 2; ++r) {
      const std::int64_t block = (weight + (group + 8 * r) * row_weights) / 8 + 2 * place + j;
      mine |= keep_bits(mask, static_cast<std::uint64_t>(block)) << (8 * (2 * j + r));
    }
    STOFM_UNROLL
    for (int source = 0; source < 4; ++source) words[source] = shuffle(mine, group * 4 + source);
  }
  __device__ __forceinline__ bool keep(int j, int i) const {
    return ((words[j / 2] >> (8 * (j % 2 * 2 + i / 2) + lane() % 4 * 2 + i % 2)) & 1U) != 0;
  }
};

/// Rows are keys, columns queries. `weight`: number of the weight at (query of column 0, key of row 0 of the
/// warp's 16, a multiple of 16).
struct KeepAlongQueries {
  std::uint32_t words[8];

  __device__ __forceinline__ KeepAlongQueries(const DropoutParams& mask, std::int64_t weight,
                                              std::int64_t row_weights) {
    const int group = lane() / 4, place = lane() % 4;
    std::uint32_t mine = 0;
    STOFM_UNROLL
    for (int e = 0; e < 2; ++e) STOFM_UNROLL
    for (int r = 0; r < 2; ++r) {
      const std::int64_t block = (weight + (8 * group + 2 * place + e) * row_weights) / 8 + r;
      mine |= keep_bits(mask, static_cast<std::uint64_t>(block)) << (8 * (2 * e + r));
    }
    STOFM_UNROLL
    for (int j = 0; j < 8; ++j) words[j] = shuffle(mine, j * 4 + place);
  }
  __device__ __forceinline__ bool keep(int j, int i) const {
    return ((words[j] >> (8 * (i % 2 * 2 + i / 2) + lane() / 4)) & 1U) != 0;
  }
};

}  // namespace stofm::kernels
