// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention over packed sequences, forward. Per sequence and head:
///   y_i = sum_j keep_ij / (1 - p) softmax_j(scale q_i k_j) v_j
/// A block owns 64 queries of one head (a warp 16 of them), keys and values stream by in tiles of 64, the
/// softmax is online: running maximum m and sum l of a row in registers, in units of log2. Nothing of size
/// queries x keys is kept. Precision float32 (FMA), split_bf16 or bf16 (tensor cores); sums are float32.
/// Shared memory: TilePolicy::forward_bytes (D = 64: 46 KB bf16, 92 KB split, 105 KB float32). Barriers: two
/// per tile: it has arrived; it may be overwritten. Deterministic. Limited by tensor cores from about 200
/// keys on: 4 D flops per weight (12 D split) against one exp2, and, per tile, 256 D bytes (512 D split) from
/// L2. *Source* Dao, "FlashAttention-2", 2023, algorithm 1; dropout and numbering of weights as
/// backend/cpu/varlen_attention.hpp.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/encoder_block/operand_store.cuh"
#include "stofm/kernels/sequence_attention/dropout.cuh"
#include "stofm/kernels/sequence_attention/tile.cuh"

namespace stofm::kernels {

template <class Element>
struct AttentionForwardParams {
  const AttentionTile* tiles = nullptr;  // one per block of x
  HeadSource<Element> q, k, v;
  std::int64_t heads = 1, head_dim = 0;
  std::int64_t rows = 0;    // of q and y, all sequences
  float scale_log2 = 0.0F;  // scale / ln 2
  DropoutParams dropout;
  void* y = nullptr;          // dense operand [rows, heads head_dim]
  float* log_sums = nullptr;  // [heads, rows]: log2 of sum_j exp(scale q k), for backward; or null
};

template <backend::Precision P, int D>
struct AttentionForwardStorage {
  HeadTile<P, D> query;
  struct Stage {
    HeadTile<P, D> key, value;
  } stages[sequence_attention::TilePolicy::stages];
  float strips[sequence_attention::TilePolicy::strip_bytes(P) / 4 + (TileLayout<P, D>::plain ? 0 : 4)];
};

namespace detail {

/// Where a pair of neighbouring columns of a dense operand goes.
template <OperandForm Form>
__device__ __forceinline__ void store_pair(void* y, std::int64_t row, std::int64_t columns,
                                           std::int64_t column, float a, float b) {
  if constexpr (Form == OperandForm::float32) {
    *reinterpret_cast<float2*>(static_cast<float*>(y) + row * columns + column) = float2{a, b};
  } else {
    bfloat16* const at = static_cast<bfloat16*>(y) + row * stored_row<Form>(columns) + column;
    const std::uint32_t high = pack_bfloat16(a, b);
    *reinterpret_cast<std::uint32_t*>(at) = high;
    if constexpr (Form == OperandForm::split_left) {
      *reinterpret_cast<std::uint32_t*>(at + columns) =
          pack_bfloat16(a - low_bfloat16(high), b - high_bfloat16(high));
      *reinterpret_cast<std::uint32_t*>(at + 2 * columns) = high;
    }
  }
}

}  // namespace detail

template <backend::Precision P, int D, OperandForm Form, bool Drops, bool Wide>
static __global__ void __launch_bounds__(sequence_attention::TilePolicy::threads)
    attention_forward_kernel(const AttentionForwardParams<typename TileLayout<P, D>::Element> p) {
  using Storage = AttentionForwardStorage<P, D>;
  using Policy = sequence_attention::TilePolicy;
  Storage& shared = shared_memory<Storage>();
  const AttentionTile tile = p.tiles[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), head_dim = static_cast<int>(p.head_dim);
  const std::int64_t column = head * p.head_dim;
  const int group = lane() / 4, place = lane() % 4, warp_row = 16 * warp();
  const int tiles = (tile.keys + Policy::streamed_rows - 1) / Policy::streamed_rows;
  float* const strip = shared.strips + (TileLayout<P, D>::plain ? warp() * strip_floats : 0);

  // ---- load: the queries with the first tile
  copy_tile<P, D, Wide>(shared.query, p.q, tile.query_begin + tile.first, tile.queries - tile.first, column,
                        head_dim);
  const auto request = [&](int t) {
    if (t < tiles) {
      auto& stage = shared.stages[t % Policy::stages];
      const std::int64_t first = tile.key_begin + 64 * t;
      copy_tile<P, D, Wide>(stage.key, p.k, first, tile.keys - 64 * t, column, head_dim);
      copy_tile<P, D, Wide>(stage.value, p.v, first, tile.keys - 64 * t, column, head_dim);
    }
    copy_async_commit();  // an empty group keeps the count of groups the same
  };
  request(0);

  // ---- compute
  constexpr float lowest = -INFINITY;
  float o[D / 8][4] = {}, largest[2] = {lowest, lowest}, sum[2] = {0.0F, 0.0F};
  for (int t = 0; t < tiles; ++t) {
    request(t + 1);
    copy_async_wait<1>();
    block_sync();
    const auto& stage = shared.stages[t % Policy::stages];
    float s[8][4] = {};
    add_rows_by_rows<P, D>(s, own_rows<P, D>(shared.query), stage.key.at());

    // Row maxima of the scaled scores; keys behind the end of the sequence count as -inf.
    const int valid = tile.keys - 64 * t;
    float next[2] = {largest[0], largest[1]};  // without NaN, which reaches its row through the sum
    STOFM_UNROLL
    for (int j = 0; j < 8; ++j) STOFM_UNROLL
    for (int i = 0; i < 4; ++i) s[j][i] *= p.scale_log2;
    if (valid < 64) {  // the last tile only
      STOFM_UNROLL
      for (int j = 0; j < 8; ++j) STOFM_UNROLL
      for (int i = 0; i < 4; ++i)
        if (8 * j + 2 * place + i % 2 >= valid) s[j][i] = lowest;
    }
    STOFM_UNROLL
    for (int j = 0; j < 8; ++j) STOFM_UNROLL
    for (int i = 0; i < 4; ++i) next[i / 2] = larger(next[i / 2], s[j][i]);
    STOFM_UNROLL
    for (int r = 0; r < 2; ++r) {
      next[r] = warp_larger(next[r], 4);
      const float shrink = power_of_two(largest[r] - next[r]);  // 0 at the first tile
      largest[r] = next[r];
      sum[r] *= shrink;
      STOFM_UNROLL
      for (int j = 0; j < D / 8; ++j) {
        o[j][2 * r] *= shrink;
        o[j][2 * r + 1] *= shrink;
      }
    }
    STOFM_UNROLL
    for (int j = 0; j < 8; ++j) STOFM_UNROLL
    for (int i = 0; i < 4; ++i) {
      s[j][i] = power_of_two(s[j][i] - largest[i / 2]);
      sum[i / 2] += s[j][i];
    }
    if constexpr (Drops) {
      const std::int64_t row_weights = weight_row(tile);
      const KeepAlongKeys bits(p.dropout,
                               first_weight_of(tile, head) + (tile.first + warp_row) * row_weights + 64 * t,
                               row_weights);
      STOFM_UNROLL
      for (int j = 0; j < 8; ++j) STOFM_UNROLL
      for (int i = 0; i < 4; ++i) s[j][i] = bits.keep(j, i) ? s[j][i] * p.dropout.factor : 0.0F;
    }
    add_weights_by_rows<P, D>(o, s, stage.value.at(), strip);
    block_sync();  // before the next request overwrites this stage
  }
  copy_async_wait<0>();

  // ---- store
  STOFM_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int row = tile.first + warp_row + group + 8 * r;
    const float total = warp_sum(sum[r], 4);
    if (row >= tile.queries) continue;
    const std::int64_t to = tile.query_begin + row;
    const float inverse = tiles > 0 ? 1.0F / total : 0.0F;  // a query without keys gets zeros
    if (p.log_sums != nullptr && place == 0) p.log_sums[head * p.rows + to] = largest[r] + log_of_two(total);
    STOFM_UNROLL
    for (int j = 0; j < D / 8; ++j) {
      const int at = 8 * j + 2 * place;
      if (at < head_dim)
        detail::store_pair<Form>(p.y, to, p.heads * p.head_dim, column + at, o[j][2 * r] * inverse,
                                 o[j][2 * r + 1] * inverse);
    }
  }
}

}  // namespace stofm::kernels
