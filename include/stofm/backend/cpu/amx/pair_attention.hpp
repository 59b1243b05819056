// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention on AMX tiles: packing, forward, and P at listed pairs. Formulas: ops/pair_attention.hpp;
/// the scheme is that of amx/attention.hpp. Without a gradient, operands have three parts, else two (as the
/// gradient, amx/pair_attention_backward.hpp), sums float32.

#include <vector>

#include "stofm/backend/cpu/amx/attention.hpp"
#include "stofm/backend/cpu/pair_attention_state.hpp"
#include "stofm/backend/cpu/vector/dropout_mask.hpp"
#include "stofm/core/parallel.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// Bytes of one head of a layer's packed queries or keys.
inline std::int64_t pair_head_bytes(std::int64_t nodes, std::int64_t width) {
  return (nodes + 31) / 32 * 2 * groups_of(width) * split_bytes;
}

/// Calls body(Parts()) with the parts that the products of a state have.
template <class Body>
void with_parts(const PairState<float>& state, Body&& body) {
  if (state.two_parts)
    body(TwoParts());
  else
    body(ThreeParts());
}

/// Packs the queries and keys of a layer: [heads][blocks of 32 rows], each two tiles.
inline void pack_pair_layer(const PairState<float>& state, PairLayer<float>& layer) {
  with_parts(state, [&]<class Parts>(Parts) {
    const std::int64_t n = layer.q.dim(0), heads = state.heads, width = state.width, stride = heads * width,
                       blocks = (n + 31) / 32, step = 2 * groups_of(width) * Parts::bytes,
                       bytes = checked_mul(checked_mul(heads, blocks), step);
    layer.packed_q = Tensor<std::uint8_t>(Shape{bytes});
    layer.packed_k = Tensor<std::uint8_t>(Shape{bytes});
    parallel_for(heads * blocks, 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const std::int64_t from = t % blocks * 32 * stride + t / blocks * width,
                           rows = (std::min<std::int64_t>)(n - t % blocks * 32, 32);
        Parts::pack_block(layer.packed_q.data() + t * step, layer.q.data() + from, stride, rows, width);
        Parts::pack_keys(layer.packed_k.data() + t * step, layer.k.data() + from, stride, rows, width);
      }
    });
  });
}

/// What one head of the logits is made of.
struct PairHead {
  const PairState<float>& state;
  std::int64_t head, nodes, width, groups, blocks;
  std::int64_t k_groups, tile_step, block_step;  ///< groups of width; bytes between tiles and row blocks

  PairHead(const PairState<float>& of, std::int64_t which)
      : state(of),
        head(which),
        nodes(of.nodes()),
        width(of.width),
        groups((nodes + 31) / 32),
        blocks(groups),
        k_groups(groups_of(width)),
        tile_step(k_groups * split_bytes),
        block_step(2 * tile_step) {}

  const std::uint8_t* q(std::size_t layer, std::int64_t block) const {
    return state.layers[layer]->packed_q.data() + (head * blocks + block) * block_step;
  }
  const std::uint8_t* k(std::size_t layer, std::int64_t group) const {
    return state.layers[layer]->packed_k.data() + (head * blocks + group) * block_step;
  }
  const float* slots() const { return state.slots.data() + head * state.pairs->slots(); }
};

/// sums [32, 32] of one block: q k^T over the layers.
STOFM_TARGET_AMX inline void pair_logits(const PairHead& from, std::int64_t block, std::int64_t group,
                                         float* sums) {
  zero_sums();
  for (std::size_t l = 0; l < from.state.layers.size(); ++l) {
    const std::uint8_t *left = from.q(l, block), *right = from.k(l, group);
    for (std::int64_t g = 0; g < from.k_groups; ++g)
      multiply_split(left + g * split_bytes, from.tile_step, right + g * split_bytes, from.tile_step,
                     right + from.block_step + g * split_bytes);
  }
  store_sums(sums, 128);
}

/// Adds the listed values of a block.
STOFM_TARGET_AMX inline void add_run(float* block, const SparseRun* run, const std::uint16_t* positions,
                                     const float* values) {
  if (run == nullptr) return;
  if (run->whole()) {
    const float* whole = values + run->begin;
    for (std::int64_t e = 0; e < 1024; e += 16)
      _mm512_store_ps(block + e, _mm512_add_ps(_mm512_load_ps(block + e), _mm512_loadu_ps(whole + e)));
    return;
  }
  for (std::int64_t e = run->begin; e < run->end; ++e) block[positions[e]] += values[e];
}

/// The other way: adds the elements of a block to the gradients of the listed values.
STOFM_TARGET_AMX inline void take_run(const float* block, const SparseRun* run,
                                      const std::uint16_t* positions, float* values) {
  if (run == nullptr) return;
  if (run->whole()) {
    float* whole = values + run->begin;
    for (std::int64_t e = 0; e < 1024; e += 16)
      _mm512_storeu_ps(whole + e, _mm512_add_ps(_mm512_load_ps(block + e), _mm512_loadu_ps(whole + e)));
    return;
  }
  for (std::int64_t e = run->begin; e < run->end; ++e) values[e] += block[positions[e]];
}

/// Keep bits of a block: row r in kept[r], column c in bit c. All ones without dropout; columns past the end
/// are kept.
STOFM_TARGET_AMX inline void keep_block(std::uint32_t (&kept)[32], const WeightDropout& dropout,
                                        const PairHead& from, std::int64_t block, std::int64_t group) {
  if (!dropout.drops()) {
    for (std::uint32_t& row : kept) row = ~0U;
    return;
  }
  avx512::dropout_mask_blocks(
      reinterpret_cast<std::uint8_t*>(kept), dropout.mask,
      static_cast<std::uint64_t>(((from.head * from.groups + group) * from.groups + block) * 128), 128);
}

/// log_sums: [heads, nodes] or null.
inline void pair_forward(const PairState<float>& state, TensorView<float> y, TensorView<const float> v,
                         const WeightDropout& dropout, float* log_sums) {
  with_parts(state, [&]<class Parts>(Parts) {
    const std::int64_t n = state.nodes(), width = state.width, blocks = state.pairs->blocks(),
                       block_bytes = 2 * groups_of(width) * Parts::bytes,
                       value_bytes = groups_of(width) * 2 * groups_of(n) * Parts::bytes;
    const SparseRuns& runs = state.pairs->runs;
    std::uint8_t* values = scratch_bytes<5>(checked_mul(state.heads, value_bytes));
    parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t h = begin; h < end; ++h)
        Parts::pack_values(values + h * value_bytes, v.data + h * width, v.stride(0), n, width);
    });
    parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<Segment> segments(state.layers.size());
      for (std::int64_t t = begin; t < end; ++t) {
        const PairHead from(state, t / blocks);
        const std::int64_t block = t % blocks, first = block * 32;
        for (std::size_t l = 0; l < segments.size(); ++l)
          segments[l] = {state.layers[l]->packed_q.data() + t * block_bytes,
                         state.layers[l]->packed_k.data() + from.head * blocks * block_bytes};
        const TileBlock at{y.row(first) + from.head * width,
                           y.stride(0),
                           (std::min<std::int64_t>)(n - first, 32),
                           n,
                           segments,
                           values + from.head * value_bytes,
                           width,
                           {runs.of_block(block), runs.positions.data(), from.slots()},
                           static_cast<float>(dropout.factor),
                           log_sums == nullptr ? nullptr : log_sums + from.head * n + first};
        if (dropout.drops())
          attend_rows<Parts>(at, [&](std::uint32_t(&kept)[32], std::int64_t group) {
            keep_block(kept, dropout, from, block, group);
          });
        else
          attend_rows<Parts>(at, KeepAll());
      }
    });
  });
}

/// P at the listed pairs, [pairs, heads].
inline void pair_values(const PairState<float>& state, const AskedPairs& list, const float* background,
                        float* values) {
  const SparseRuns& runs = state.pairs->runs;
  const std::int64_t blocks = state.pairs->blocks();
  parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) STOFM_TARGET_AMX {
    alignas(64) float logits[1024];
    const TileScope tiles;
    for (std::int64_t t = begin; t < end; ++t) {
      const PairHead from(state, t / blocks);
      const std::int64_t block = t % blocks;
      const auto listed = runs.of_block(block);
      const SparseRun *run = listed.data(), *runs_end = run + listed.size();
      for (std::int64_t g = 0; g < from.groups; ++g) {
        const SparseRun* here = run != runs_end && run->group == g ? run++ : nullptr;
        const auto at = static_cast<std::size_t>(block * blocks + g);
        if (list.offsets[at] == list.offsets[at + 1]) continue;
        pair_logits(from, block, g, logits);
        add_run(logits, here, runs.positions.data(), from.slots());
        for (auto p = static_cast<std::size_t>(list.offsets[at]);
             p < static_cast<std::size_t>(list.offsets[at + 1]); ++p)
          values[list.order[p] * state.heads + from.head] = logits[list.positions[p]] + background[from.head];
      }
    }
  });
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
