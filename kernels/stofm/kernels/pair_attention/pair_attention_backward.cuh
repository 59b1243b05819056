// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradients of pair attention. Per sub-slice and head, with A = exp(S - log sums), dA = dy V^T, r =
/// rowsum(dy o y):
///   G = A o (dA o M - r) + gradients of asked pairs,
///   dV = (A o M)^T dy,  dQ_j = scale G K_j,  dK_j = scale G^T Q_j for all j <= l,  dB = G at listed pairs.
/// The same kernel runs twice with the sides swapped, so that every sum has one writer and no atomics are
/// needed:
///   Side::queries: own Q_1 .. Q_l and dy, walks over K_1 .. K_l and V  -> dQ_j, listed bias
///   Side::keys:    own K_1 .. K_l and V,  walks over Q_1 .. Q_l and dy -> dK_j, dV     (S^T, G^T in
///   registers)
/// Block: 64 (or 128) own rows of one sub-slice and head, and the gradients of some layers (blockIdx.y: as
/// many as have 128 columns together); warp: 16 rows. Shared memory, chunks and barriers as in forward; log
/// sums and r of the other side's 64 rows beside them. Sums: float32. *Deterministic*. Limiter: tensor cores
/// and registers.

#include "stofm/kernels/pair_attention/tiles.cuh"

namespace stofm::kernels {

enum class PairSide { queries, keys };

struct PairBackwardParams {
  backend::PairAttentionBackward args;
  const void* grad_y;         ///< packed
  const float* row_products;  ///< [heads, nodes]
  std::int64_t heads, head_dim;
  float scale;
  bool resident;
};

/// The operands of a side, by step.
template <PairSide Side>
struct PairSideOperands {
  const PairBackwardParams& params;

  __device__ const void* own(int j) const {
    const auto& layer = params.args.layer;
    if constexpr (Side == PairSide::queries) {
      return j < layer.layers ? layer.q[j] : params.grad_y;
    } else {
      return j < layer.layers ? layer.k[j] : layer.v;
    }
  }
  __device__ const void* other(int j) const {
    const auto& layer = params.args.layer;
    if constexpr (Side == PairSide::queries) {
      return j < layer.layers ? layer.k[j] : layer.v;
    } else {
      return j < layer.layers ? layer.q[j] : params.grad_y;
    }
  }
};

/// Writes, or adds, [16, Width] of a warp times `factor`.
template <int Width>
__device__ __forceinline__ void store_gradient(const float (&sums)[Width / 8][4], float* to,
                                               std::int64_t stride, const PairPlace& place,
                                               std::int64_t head_dim, float factor, bool accumulate) {
  STOFM_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = place.first + warp() * 16 + lane() / 4 + half * 8;
    if (row >= place.n) continue;
    float* at = to + (place.node + row) * stride + place.head * head_dim;
    STOFM_UNROLL
    for (int n = 0; n < Width / 8; ++n) STOFM_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int column = n * 8 + lane() % 4 * 2 + e;
      if (column < head_dim) at[column] = (accumulate ? at[column] : 0.0F) + factor * sums[n][2 * half + e];
    }
  }
}

template <backend::Precision P, int Width, PairSide Side, class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    pair_attention_backward_kernel(PairBackwardParams params) {
  using Layout = TileLayout<P, Width>;
  using Element = typename Layout::Element;
  constexpr bool keys = Side == PairSide::keys;
  constexpr int group_layers = Policy::gradient_columns / Width;
  const backend::PairAttentionLayer& layer = params.args.layer;
  const std::int64_t nodes = layer.batch.nodes;
  const int heads = static_cast<int>(params.heads), layers = static_cast<int>(layer.layers);
  const PairPlace place(layer.batch, heads);
  if (place.first % Policy::rows != 0) return;  // rows of the block before
  const PairSideOperands<Side> operands{params};
  const int first_layer = static_cast<int>(blockIdx.y) * group_layers;
  const int own_layers = minimum(group_layers, layers - first_layer);
  const bool first_group = blockIdx.y == 0;
  const int g = lane() / 4, t = lane() % 4;
  const int row = place.first + warp() * 16 + g;  // and row + 8

  // ---- shared memory: own operands [layers + 1] (if resident), stages, strips, rows of the other side
  auto* memory = reinterpret_cast<Element*>(shared_bytes());
  Element* stages = memory + (params.resident ? (layers + 1) * Policy::own_chunks * Layout::elements : 0);
  ChunkStream<P, Width, Policy> stream{place, heads, nodes, memory, stages, params.resident};
  auto* strips = reinterpret_cast<float*>(stages + Policy::stages * stream.stage_elements());
  float* strip = strips + warp() * strip_floats;
  float* other_log_sums = strips + Policy::warps * strip_floats;  // [64] base 2; keys only
  float* other_products = other_log_sums + 64;                    // [64]

  // ---- chunks: per tile operands 1 .. l, the last one, then those whose gradients are summed here
  int load_tile = 0, load_step = 0;  // of the next copy
  const auto start = [&](Element* to) {
    if (load_tile == place.tiles) return;
    const int j = load_step;
    stream.load_other(to, operands.other(j <= layers ? j : first_layer + j - layers - 1), load_tile * 64);
    if (!params.resident && j <= layers) stream.load_own(to + Layout::elements, operands.own(j));
    if (++load_step > layers + own_layers) load_step = 0, ++load_tile;
  };
  if (params.resident)
    for (int j = 0; j <= layers; ++j) stream.load_resident(j, operands.own(j));
  start(stream.stage());
  copy_async_commit();

  const bool drops = layer.dropout.keys != nullptr && layer.dropout.threshold > 0;
  const DropoutParams mask = drops ? slice_mask(layer.dropout, place.slice) : DropoutParams{};
  const auto& bias_strips = keys ? layer.batch.bias_by_column : layer.batch.bias_by_row;
  const auto& pair_strips = keys ? layer.batch.pairs_by_column : layer.batch.pairs_by_row;
  const float* bias = layer.bias + place.head * layer.batch.entries;
  const float* log_sums = params.args.log_sums + place.head * nodes + place.node;
  const float* products = params.row_products + place.head * nodes + place.node;
  // A row past the end has weight 2^(0 - inf) = 0.
  float own_log_sums[2] = {INFINITY, INFINITY}, own_products[2] = {0, 0};  // queries only
  if constexpr (!keys)
    for (int half = 0; half < 2; ++half)
      if (row + 8 * half < place.n) {
        own_log_sums[half] = log_sums[row + 8 * half] * log2_e;
        own_products[half] = products[row + 8 * half];
      }

  float grads[group_layers][Width / 8][4] = {};
  float grad_v[Width / 8][4] = {};  // keys only
  for (int tile = 0; tile < place.tiles; ++tile) {
    if constexpr (keys)
      if (threadIdx.x < 64) {  // last read before the barriers of the previous tile's gradients
        const int i = tile * 64 + static_cast<int>(threadIdx.x);
        other_log_sums[threadIdx.x] = i < place.n ? log_sums[i] * log2_e : INFINITY;
        other_products[threadIdx.x] = i < place.n ? products[i] : 0.0F;
      }
    // ---- logits, base 2
    float weights[8][4] = {};
    const StripEntries listed(bias_strips, place, tile);
    if (listed.any())
      add_entries(weights, bias_strips, listed, strip, log2_e, [&](std::int32_t e) { return bias[e]; });
    for (int j = 0; j < layers; ++j) {
      const auto chunk = stream.next(j, start);
      add_rows_by_rows<P, Width>(weights, chunk.own, chunk.other);
    }
    // ---- dA, then A and G in place
    float gradient[8][4] = {};
    const auto last = stream.next(layers, start);
    add_rows_by_rows<P, Width>(gradient, last.own, last.other);
    std::uint32_t kept = 0xffffffffU;
    if (drops) kept = strip_keep_bits<keys>(mask, place.head, place.n, place.first + warp() * 16, tile * 64);
    STOFM_UNROLL
    for (int n = 0; n < 8; ++n) STOFM_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int column = n * 8 + t * 2 + i % 2;
      float a;
      if constexpr (keys) {
        a = power_of_two(weights[n][i] - other_log_sums[column]);
      } else {
        a = tile * 64 + column < place.n ? power_of_two(weights[n][i] - own_log_sums[i / 2]) : 0.0F;
      }
      const float masked = (kept >> (4 * n + i) & 1U) != 0 ? a * mask.factor : 0.0F;
      const float product = keys ? other_products[column] : own_products[i / 2];
      gradient[n][i] = masked * gradient[n][i] - a * product;
      weights[n][i] = masked;
    }
    if constexpr (keys)
      if (first_group && params.args.grad_v != nullptr)
        add_weights_by_rows<P, Width>(grad_v, weights, last.other, strip);
    // ---- asked and listed pairs
    if (params.args.grad_pairs != nullptr) {
      const StripEntries asked(pair_strips, place, tile);
      if (asked.any())
        add_entries(gradient, pair_strips, asked, strip, 1.0F, [&](std::int32_t p) {
          return params.args.grad_pairs[std::int64_t(p) * heads + place.head];
        });
    }
    if constexpr (!keys)
      if (first_group && params.args.grad_bias != nullptr && listed.any())
        visit_entries(gradient, bias_strips, listed, strip, [&](std::int32_t e, float value) {
          float* to = params.args.grad_bias + place.head * layer.batch.entries + e;
          *to = (params.args.accumulate ? *to : 0.0F) + value;
        });
    // ---- G times the other side
    STOFM_UNROLL
    for (int j = 0; j < group_layers; ++j)
      if (j < own_layers) {
        const auto chunk = stream.next(0, start);
        add_weights_by_rows<P, Width>(grads[j], gradient, chunk.other, strip);
      }
  }
  copy_async_wait<0>();

  // ---- store; packed queries carry scale * log2(e)
  const float factor = keys ? ln_2 : params.scale;
  STOFM_UNROLL
  for (int j = 0; j < group_layers; ++j)
    if (j < own_layers) {
      float* to = keys ? params.args.grad_k[first_layer + j] : params.args.grad_q[first_layer + j];
      if (to != nullptr)
        store_gradient<Width>(grads[j], to, params.args.grad_stride, place, params.head_dim, factor,
                              params.args.accumulate);
    }
  if constexpr (keys)
    if (first_group && params.args.grad_v != nullptr)
      store_gradient<Width>(grad_v, params.args.grad_v, params.args.grad_stride, place, params.head_dim, 1.0F,
                            false);
}

}  // namespace stofm::kernels
