// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Forward pass of pair attention:
///   S = B + sum_{j <= l} Q_j K_j^T,  y = (softmax(S) o M) V per sub-slice and head, without an [n, n] array.
/// Block: 64 (or 128) queries of one sub-slice and head; warp: 16 of them; thread: 2 rows x 16 columns of
/// each tile. Walks over tiles of 64 keys; K_1 .. K_l and V of a tile stream as chunks through `stages`
/// buffers (cp.async, one barrier per chunk), the queries of all layers stay in shared memory where they fit
/// (policy.hpp). Softmax online in base 2 (log2 e is in the packed queries). A strip [16, 64] without listed
/// pairs starts from zero: a constant per row does not change the softmax. Sums: float32. *Deterministic*:
/// one writer per output. Limiter on Hopper: exponentials and shared memory reads at head widths <= 32,
/// tensor cores above.

#include "stofm/kernels/gaussian_bias/table_bias.cuh"
#include "stofm/kernels/pair_attention/tiles.cuh"

namespace stofm::kernels {

struct PairForwardParams {
  backend::PairAttentionForward args;
  std::int64_t heads, head_dim;
  bool resident;  ///< PairSharedPlan
};

template <backend::Precision P, int Width, class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    pair_attention_forward_kernel(PairForwardParams params) {
  using Layout = TileLayout<P, Width>;
  using Element = typename Layout::Element;
  using Stream = ChunkStream<P, Width, Policy>;
  constexpr int column_tiles = Width / 8;
  const backend::PairAttentionLayer& layer = params.args.layer;
  const std::int64_t nodes = layer.batch.nodes;
  const int heads = static_cast<int>(params.heads), layers = static_cast<int>(layer.layers);
  const PairPlace place(layer.batch, heads);
  if (place.first % Policy::rows != 0) return;  // rows of the block before
  const int g = lane() / 4, t = lane() % 4;
  const int row = place.first + warp() * 16 + g;  // and row + 8

  // ---- shared memory: own queries [layers] (if resident), stages, a strip per warp
  auto* memory = reinterpret_cast<Element*>(shared_bytes());
  Element* stages = memory + (params.resident ? layers * Policy::own_chunks * Layout::elements : 0);
  Stream stream{place, heads, nodes, memory, stages, params.resident};
  auto* strips = reinterpret_cast<float*>(stages + Policy::stages * stream.stage_elements());
  float* strip = strips + warp() * strip_floats;

  // ---- chunks: per tile of keys K_1 .. K_l, then V
  int load_tile = 0, load_step = 0;  // of the next copy
  const auto start = [&](Element* to) {
    if (load_tile == place.tiles) return;
    const int j = load_step;
    stream.load_other(to, j < layers ? layer.k[j] : layer.v, load_tile * 64);
    if (!params.resident && j < layers) stream.load_own(to + Layout::elements, layer.q[j]);
    if (++load_step > layers) load_step = 0, ++load_tile;
  };
  if (params.resident)
    for (int j = 0; j < layers; ++j) stream.load_resident(j, layer.q[j]);
  start(stream.stage());
  copy_async_commit();

  const bool drops = layer.dropout.keys != nullptr && layer.dropout.threshold > 0;
  const DropoutParams mask = drops ? slice_mask(layer.dropout, place.slice) : DropoutParams{};
  const float* bias = layer.bias != nullptr ? layer.bias + place.head * layer.batch.entries : nullptr;
  const auto bias_of = [&](std::int32_t e) {
    return layer.table.places != nullptr ? table_bias(layer.table, layer.table.places[e], heads, place.head)
                                         : bias[e];
  };

  float out[column_tiles][4] = {};            // [16, Width] of the warp
  float largest[2] = {-INFINITY, -INFINITY};  // of rows g and g + 8, base 2
  float total[2] = {0, 0};                    // of this lane's columns
  for (int tile = 0; tile < place.tiles; ++tile) {
    // ---- logits
    float sums[8][4] = {};
    const StripEntries listed(layer.batch.bias_by_row, place, tile);
    if (listed.any()) add_entries(sums, layer.batch.bias_by_row, listed, strip, log2_e, bias_of);
    for (int j = 0; j < layers; ++j) {
      const auto chunk = stream.next(j, start);
      add_rows_by_rows<P, Width>(sums, chunk.own, chunk.other);
    }
    // ---- asked pairs
    if (params.args.pair_values != nullptr) {
      const StripEntries asked(layer.batch.pairs_by_row, place, tile);
      if (asked.any())
        visit_entries(sums, layer.batch.pairs_by_row, asked, strip, [&](std::int32_t pair, float logit) {
          params.args.pair_values[std::int64_t(pair) * heads + place.head] =
              logit * ln_2 + params.args.background[place.head];
        });
    }
    // ---- online softmax
    if (place.n - tile * 64 < 64) {
      STOFM_UNROLL
      for (int n = 0; n < 8; ++n) STOFM_UNROLL
      for (int i = 0; i < 4; ++i)
        if (tile * 64 + n * 8 + t * 2 + i % 2 >= place.n) sums[n][i] = -INFINITY;
    }
    STOFM_UNROLL
    for (int half = 0; half < 2; ++half) {
      float high = largest[half];  // without NaN, which reaches its row through the sum
      STOFM_UNROLL
      for (int n = 0; n < 8; ++n) high = larger(high, larger(sums[n][2 * half], sums[n][2 * half + 1]));
      high = warp_larger(high, 4);
      const float shrink = power_of_two(largest[half] - high);
      largest[half] = high;
      float sum = 0;
      STOFM_UNROLL
      for (int n = 0; n < 8; ++n) STOFM_UNROLL
      for (int i = 2 * half; i < 2 * half + 2; ++i) sum += sums[n][i] = power_of_two(sums[n][i] - high);
      total[half] = total[half] * shrink + sum;
      STOFM_UNROLL
      for (int n = 0; n < column_tiles; ++n) {
        out[n][2 * half] *= shrink;
        out[n][2 * half + 1] *= shrink;
      }
    }
    if (drops) {
      const std::uint32_t bits =
          strip_keep_bits<false>(mask, place.head, place.n, place.first + warp() * 16, tile * 64);
      STOFM_UNROLL
      for (int n = 0; n < 8; ++n) STOFM_UNROLL
      for (int i = 0; i < 4; ++i)
        if ((bits >> (4 * n + i) & 1U) == 0) sums[n][i] = 0;
    }
    // ---- weights times values
    const auto chunk = stream.next(0, start);
    add_weights_by_rows<P, Width>(out, sums, chunk.other, strip);
  }
  copy_async_wait<0>();

  // ---- store
  STOFM_UNROLL
  for (int half = 0; half < 2; ++half) {
    const float sum = warp_sum(total[half], 4);
    const int i = row + 8 * half;
    if (i >= place.n) continue;
    const float factor = (drops ? mask.factor : 1.0F) / sum;
    const std::int64_t to = place.node + i, first = place.head * params.head_dim;
    if (params.args.y != nullptr) {
      float* const y = params.args.y + to * params.args.y_stride + first;
      STOFM_UNROLL
      for (int n = 0; n < column_tiles; ++n) STOFM_UNROLL
      for (int e = 0; e < 2; ++e)
        if (n * 8 + t * 2 + e < params.head_dim) y[n * 8 + t * 2 + e] = out[n][2 * half + e] * factor;
    }
    if constexpr (!Layout::plain) {
      if (params.args.y_operand != nullptr) {
        const std::int64_t columns = heads * params.head_dim;
        constexpr int parts = Layout::parts == 2 ? 3 : 1;  // high, low, high: OperandForm::split_left
        bfloat16* const y = static_cast<bfloat16*>(params.args.y_operand) + to * parts * columns + first;
        STOFM_UNROLL
        for (int n = 0; n < column_tiles; ++n) {
          const int column = n * 8 + t * 2;
          const float a = out[n][2 * half] * factor, b = out[n][2 * half + 1] * factor;
          const std::uint32_t high = pack_bfloat16(a, b);
          const auto put = [&](bfloat16* at, std::uint32_t both) {  // heads of odd width: one by one
            if (column < params.head_dim) at[column].bits = static_cast<std::uint16_t>(both);
            if (column + 1 < params.head_dim) at[column + 1].bits = static_cast<std::uint16_t>(both >> 16);
          };
          put(y, high);
          if constexpr (parts == 3) {
            put(y + columns, pack_bfloat16(a - low_bfloat16(high), b - high_bfloat16(high)));
            put(y + 2 * columns, high);
          }
        }
      }
    }
    if (params.args.log_sums != nullptr && t == 0)
      params.args.log_sums[place.head * nodes + place.node + i] = (largest[half] + log_of_two(sum)) * ln_2;
  }
}

}  // namespace stofm::kernels
