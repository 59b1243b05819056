// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention of one query per head over whole tokens: the last layer at position 0, with keys and values
/// folded into the query (model/cell_encoder.hpp):
///   mean_h = sum_j softmax_j(scale <query_h, x_j>) x_j
/// A block owns a sequence and up to `Heads` heads; each warp walks every eighth token with a running maximum
/// and sum (softmax online, in log2), a lane holds every 32nd group of four columns of the query and of the
/// mean; then the warps' parts are joined in their order. Shared memory: FirstRowPolicy::bytes.
/// Deterministic. Limited by bytes: 4 W per token, read once for each group of heads.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/encoder_block/operand_store.cuh"
#include "stofm/kernels/sequence_attention/policy.hpp"

namespace stofm::kernels {

struct FirstRowParams {
  const float* x = nullptr;               // [tokens, width] dense
  const float* queries = nullptr;         // [sequences, heads width] dense
  const std::int64_t* offsets = nullptr;  // [sequences + 1], ascending; no sequence is empty
  float* means = nullptr;                 // [sequences, heads width] dense
  std::int64_t sequences = 0, heads = 1, width = 0;
  float scale_log2 = 0.0F;
};

template <int Chunks>
struct FirstRowStorage {
  float largest[sequence_attention::FirstRowPolicy::heads][sequence_attention::FirstRowPolicy::warps];
  float sum[sequence_attention::FirstRowPolicy::heads][sequence_attention::FirstRowPolicy::warps];
  float rows[sequence_attention::FirstRowPolicy::warps][128 * Chunks];
};

template <int Chunks, int Heads>
static __global__ void __launch_bounds__(sequence_attention::FirstRowPolicy::threads)
    first_row_kernel(const FirstRowParams p) {
  using Policy = sequence_attention::FirstRowPolicy;
  static_assert(Heads <= Policy::heads);
  auto& shared = shared_memory<FirstRowStorage<Chunks>>();
  const std::int64_t sequence = blockIdx.x, first_head = std::int64_t(blockIdx.y) * Heads;
  const std::int64_t begin = p.offsets[sequence], end = p.offsets[sequence + 1];
  const std::int64_t at = (sequence * p.heads + first_head) * p.width;

  Quad query[Heads][Chunks], mean[Heads][Chunks] = {};
  float largest[Heads], sum[Heads];
  STOFM_UNROLL
  for (int h = 0; h < Heads; ++h) {
    largest[h] = -INFINITY;
    sum[h] = 0.0F;
    STOFM_UNROLL
    for (int c = 0; c < Chunks; ++c) {
      const int column = 4 * lane() + 128 * c;
      query[h][c] = first_head + h < p.heads && column < p.width
                        ? load_quad(p.queries + at + h * p.width + column)
                        : Quad{{0, 0, 0, 0}};
    }
  }
  for (std::int64_t token = begin + warp(); token < end; token += Policy::warps) {
    Quad x[Chunks];
    STOFM_UNROLL
    for (int c = 0; c < Chunks; ++c) {
      const int column = 4 * lane() + 128 * c;
      x[c] = column < p.width ? load_quad(p.x + token * p.width + column) : Quad{{0, 0, 0, 0}};
    }
    STOFM_UNROLL
    for (int h = 0; h < Heads; ++h) {
      float score = 0.0F;
      STOFM_UNROLL
      for (int c = 0; c < Chunks; ++c) STOFM_UNROLL
      for (int i = 0; i < 4; ++i) score += query[h][c].v[i] * x[c].v[i];
      score = warp_sum(score) * p.scale_log2;
      const float next = maximum(largest[h], score), shrink = exp2f(largest[h] - next),
                  weight = exp2f(score - next);
      largest[h] = next;
      sum[h] = sum[h] * shrink + weight;
      STOFM_UNROLL
      for (int c = 0; c < Chunks; ++c) STOFM_UNROLL
      for (int i = 0; i < 4; ++i) mean[h][c].v[i] = mean[h][c].v[i] * shrink + weight * x[c].v[i];
    }
  }

  // ---- join the warps
  STOFM_UNROLL
  for (int h = 0; h < Heads; ++h) {
    if (lane() == 0) {
      shared.largest[h][warp()] = largest[h];
      shared.sum[h][warp()] = sum[h];
    }
  }
  block_sync();
  STOFM_UNROLL
  for (int h = 0; h < Heads; ++h) {
    float most = shared.largest[h][0], total = 0.0F;
    for (int w = 1; w < Policy::warps; ++w) most = maximum(most, shared.largest[h][w]);
    for (int w = 0; w < Policy::warps; ++w) total += shared.sum[h][w] * exp2f(shared.largest[h][w] - most);
    const float factor = exp2f(largest[h] - most) / total;  // 0 for a warp without a token
    STOFM_UNROLL
    for (int c = 0; c < Chunks; ++c) {
      Quad part = mean[h][c];
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) part.v[i] *= factor;
      store_quad(&shared.rows[warp()][4 * lane() + 128 * c], part);
    }
    block_sync();
    if (first_head + h < p.heads)
      for (int column = static_cast<int>(threadIdx.x); column < p.width; column += Policy::threads) {
        float joined = 0.0F;
        for (int w = 0; w < Policy::warps; ++w) joined += shared.rows[w][column];
        p.means[at + h * p.width + column] = joined;
      }
    block_sync();  // before the next head overwrites the rows
  }
}

/// One kernel. Width: a multiple of 4, at most FirstRowPolicy::widest_row (the caller checked).
inline void launch_first_row(const FirstRowParams& params, backend::CudaStream stream) {
  using Policy = sequence_attention::FirstRowPolicy;
  const auto run = [&]<int Chunks, int Heads>() {
    launch(first_row_kernel<Chunks, Heads>,
           {.grid = {blocks(params.sequences), blocks(params.heads, Heads)},
            .block = {Policy::threads},
            .shared_bytes = sizeof(FirstRowStorage<Chunks>),
            .stream = stream,
            .name = "first_row_attention"},
           params);
  };
  switch (Policy::chunks(params.width)) {
    case 1:
      return run.template operator()<1, 4>();
    case 2:
      return run.template operator()<2, 4>();
    case 4:
      return run.template operator()<4, 2>();
    default:
      return run.template operator()<8, 1>();
  }
}

}  // namespace stofm::kernels
