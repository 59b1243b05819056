// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of attention over packed sequences. Per head, with P = softmax(scale q k^T), M = keep / (1 - p),
/// d_i = <grad_y_i, y_i>:
///   S = scale P * (M * (grad_y v^T) - d),   grad_q = S k,   grad_k = S^T q,   grad_v = (P * M)^T grad_y
/// One kernel, twice: a block owns 64 queries and keys stream by (grad_q), or owns 64 keys and queries stream
/// by (grad_k, grad_v), where scores are computed as their transposes. P comes again from the kept log2 of
/// the row sums; nothing of size queries x keys exists, no two blocks add into one place. Shared memory:
/// TilePolicy::backward_bytes (D = 64: 56 KB bf16, 112 KB split, 124 KB float32). Barriers: two per tile.
/// Deterministic. Limited by tensor cores: 7 products of 2 D flops per weight in both kernels together.
/// *Source* Dao et al., "FlashAttention", 2022, appendix B; as backend/cpu/varlen_attention.hpp.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/encoder_block/operand_store.cuh"
#include "stofm/kernels/sequence_attention/dropout.cuh"
#include "stofm/kernels/sequence_attention/tile.cuh"

namespace stofm::kernels {

/// "First" is what scores are made of, "second" what weights meet: q and grad_y on the side of queries, k and
/// v on the side of keys.
template <class Element>
struct AttentionBackwardParams {
  const AttentionTile* tiles = nullptr;  // one per block of x
  HeadSource<Element> q, k, v, grad_y;
  std::int64_t heads = 1, head_dim = 0;
  std::int64_t rows = 0;  // of q and grad_y
  float scale = 1.0F, scale_log2 = 0.0F;
  DropoutParams dropout;
  const float *log_sums = nullptr, *row_dots = nullptr;  // [heads, rows]
  float *grad_first = nullptr, *grad_second = nullptr;   // grad_q, or grad_k and grad_v
  std::int64_t stride_first = 0, stride_second = 0;
};

template <backend::Precision P, int D>
struct AttentionBackwardStorage {
  HeadTile<P, D> own_first, own_second;
  struct Stage {
    HeadTile<P, D> first, second;
    float log_sums[sequence_attention::TilePolicy::streamed_rows];
    float row_dots[sequence_attention::TilePolicy::streamed_rows];
  } stages[sequence_attention::TilePolicy::stages];
  float strips[sequence_attention::TilePolicy::strip_bytes(P) / 4 + (TileLayout<P, D>::plain ? 0 : 4)];
};

namespace detail {
/// A warp's 16 rows of a gradient to global memory.
template <int D>
__device__ __forceinline__ void store_gradient(float* to, std::int64_t stride, std::int64_t begin, int first,
                                               int count, std::int64_t column, int head_dim,
                                               const float (&sums)[D / 8][4]) {
  STOFM_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int row = first + lane() / 4 + 8 * r;
    if (row >= count) continue;
    STOFM_UNROLL
    for (int j = 0; j < D / 8; ++j) {
      const int at = 8 * j + lane() % 4 * 2;
      if (at < head_dim)
        *reinterpret_cast<float2*>(to + (begin + row) * stride + column + at) =
            float2{sums[j][2 * r], sums[j][2 * r + 1]};
    }
  }
}
}  // namespace detail

template <backend::Precision P, int D, bool OwnsKeys, bool Drops, bool Wide>
static __global__ void __launch_bounds__(sequence_attention::TilePolicy::threads,
                                         sequence_attention::TilePolicy::backward_blocks(P, D))
    attention_backward_kernel(const AttentionBackwardParams<typename TileLayout<P, D>::Element> p) {
  using Storage = AttentionBackwardStorage<P, D>;
  using Policy = sequence_attention::TilePolicy;
  Storage& shared = shared_memory<Storage>();
  const AttentionTile tile = p.tiles[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y), head_dim = static_cast<int>(p.head_dim);
  const std::int64_t column = head * p.head_dim;
  const int place = lane() % 4, warp_row = 16 * warp();
  const int owned = OwnsKeys ? tile.keys : tile.queries, others = OwnsKeys ? tile.queries : tile.keys;
  const std::int64_t own_begin = OwnsKeys ? tile.key_begin : tile.query_begin,
                     other_begin = OwnsKeys ? tile.query_begin : tile.key_begin;
  const int tiles = (others + Policy::streamed_rows - 1) / Policy::streamed_rows;
  const float* const log_sums = p.log_sums + head * p.rows + tile.query_begin;
  const float* const row_dots = p.row_dots + head * p.rows + tile.query_begin;
  float* const strip = shared.strips + (TileLayout<P, D>::plain ? warp() * strip_floats : 0);

  // ---- load: what is owned, with the first tile
  copy_tile<P, D, Wide>(shared.own_first, OwnsKeys ? p.k : p.q, own_begin + tile.first, owned - tile.first,
                        column, head_dim);
  copy_tile<P, D, Wide>(shared.own_second, OwnsKeys ? p.v : p.grad_y, own_begin + tile.first,
                        owned - tile.first, column, head_dim);
  const auto request = [&](int t) {
    if (t < tiles) {
      auto& stage = shared.stages[t % Policy::stages];
      const int left = others - 64 * t;
      copy_tile<P, D, Wide>(stage.first, OwnsKeys ? p.q : p.k, other_begin + 64 * t, left, column, head_dim);
      copy_tile<P, D, Wide>(stage.second, OwnsKeys ? p.grad_y : p.v, other_begin + 64 * t, left, column,
                            head_dim);
      if constexpr (OwnsKeys) {
        const int i = static_cast<int>(threadIdx.x) % 64;
        const float* const from = static_cast<int>(threadIdx.x) < 64 ? log_sums : row_dots;
        float* const to = static_cast<int>(threadIdx.x) < 64 ? stage.log_sums : stage.row_dots;
        copy_async_4(to + i, i < left ? from + 64 * t + i : from, i < left);
      }
    }
    copy_async_commit();  // an empty group keeps the count of groups the same
  };
  request(0);
  float own_log_sums[2] = {0.0F, 0.0F}, own_row_dots[2] = {0.0F, 0.0F};  // of rows, where queries are owned
  if constexpr (!OwnsKeys) {
    STOFM_UNROLL
    for (int r = 0; r < 2; ++r) {
      const int row = tile.first + warp_row + lane() / 4 + 8 * r;
      if (row >= owned) continue;
      own_log_sums[r] = log_sums[row];
      own_row_dots[r] = row_dots[row];
    }
  }

  // ---- compute
  float grad_first[D / 8][4] = {}, grad_second[OwnsKeys ? D / 8 : 1][4] = {};
  for (int t = 0; t < tiles; ++t) {
    request(t + 1);
    copy_async_wait<1>();
    block_sync();
    const auto& stage = shared.stages[t % Policy::stages];
    float weights[8][4] = {}, products[8][4] = {};
    add_rows_by_rows<P, D>(weights, own_rows<P, D>(shared.own_first), stage.first.at());
    add_rows_by_rows<P, D>(products, own_rows<P, D>(shared.own_second), stage.second.at());
    const int valid = others - 64 * t;
    STOFM_UNROLL
    for (int j = 0; j < 8; ++j) STOFM_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int at = 8 * j + 2 * place + i % 2;
      float log_sum = own_log_sums[i / 2];
      if constexpr (OwnsKeys) log_sum = stage.log_sums[at];
      weights[j][i] = at < valid ? power_of_two(weights[j][i] * p.scale_log2 - log_sum) : 0.0F;
    }
    if constexpr (Drops) {
      const std::int64_t row_weights = weight_row(tile), of_head = first_weight_of(tile, head);
      const auto drop = [&](const auto& bits) {
        STOFM_UNROLL
        for (int j = 0; j < 8; ++j) STOFM_UNROLL
        for (int i = 0; i < 4; ++i) {
          const float keep = bits.keep(j, i) ? p.dropout.factor : 0.0F;
          float dot = own_row_dots[i / 2];
          if constexpr (OwnsKeys) dot = stage.row_dots[8 * j + 2 * place + i % 2];
          products[j][i] = p.scale * weights[j][i] * (keep * products[j][i] - dot);
          weights[j][i] *= keep;
        }
      };
      if constexpr (OwnsKeys)
        drop(
            KeepAlongQueries(p.dropout, of_head + 64 * t * row_weights + tile.first + warp_row, row_weights));
      else
        drop(KeepAlongKeys(p.dropout, of_head + (tile.first + warp_row) * row_weights + 64 * t, row_weights));
    } else {
      STOFM_UNROLL
      for (int j = 0; j < 8; ++j) STOFM_UNROLL
      for (int i = 0; i < 4; ++i) {
        float dot = own_row_dots[i / 2];
        if constexpr (OwnsKeys) dot = stage.row_dots[8 * j + 2 * place + i % 2];
        products[j][i] = p.scale * weights[j][i] * (products[j][i] - dot);
      }
    }
    add_weights_by_rows<P, D>(grad_first, products, stage.first.at(), strip);
    if constexpr (OwnsKeys) add_weights_by_rows<P, D>(grad_second, weights, stage.second.at(), strip);
    block_sync();  // before the next request overwrites this stage
  }
  copy_async_wait<0>();

  // ---- store
  const int first = tile.first + warp_row;
  detail::store_gradient<D>(p.grad_first, p.stride_first, own_begin, first, owned, column, head_dim,
                            grad_first);
  if constexpr (OwnsKeys)
    detail::store_gradient<D>(p.grad_second, p.stride_second, own_begin, first, owned, column, head_dim,
                              grad_second);
}

/// row_dots[h, i] = <grad_y_i, y_i> over the columns of head h. A warp owns a row and two heads at a time, a
/// half of it one head. Limited by bytes: 4 + 2 to 4 read per element. Deterministic.
struct RowDotsParams {
  const void* y = nullptr;        // dense operand [rows, heads head_dim]
  const float* grad_y = nullptr;  // [rows, heads head_dim] dense
  float* row_dots = nullptr;      // [heads, rows]
  std::int64_t rows = 0, heads = 1, head_dim = 0;
};

template <OperandForm Form>
static __global__ void row_dots_kernel(const RowDotsParams p) {
  const std::int64_t row = std::int64_t(blockIdx.x) * (blockDim.x / 32) + warp();
  if (row >= p.rows) return;  // whole warps
  const std::int64_t columns = p.heads * p.head_dim;
  for (std::int64_t pair = 0; pair < p.heads; pair += 2) {
    const std::int64_t head = pair + lane() / 16, within = lane() % 16 * 4;
    float sum = 0.0F;
    if (head < p.heads && within < p.head_dim) {
      const std::int64_t column = head * p.head_dim + within;
      const Quad grad = load_quad(p.grad_y + row * columns + column);
      Quad y;
      if constexpr (Form == OperandForm::float32) {
        y = load_quad(static_cast<const float*>(p.y) + row * columns + column);
      } else {
        const bfloat16* const at =
            static_cast<const bfloat16*>(p.y) + row * stored_row<Form>(columns) + column;
        y = load_quad(at);
        if constexpr (Form == OperandForm::split_left) {
          const Quad low = load_quad(at + columns);
          STOFM_UNROLL
          for (int i = 0; i < 4; ++i) y.v[i] += low.v[i];
        }
      }
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) sum += grad.v[i] * y.v[i];
    }
    sum = warp_sum(sum, 16);
    if (lane() % 16 == 0 && head < p.heads) p.row_dots[head * p.rows + row] = sum;
  }
}

}  // namespace stofm::kernels
