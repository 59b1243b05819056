// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The gradient of pair attention on AMX tiles. Formulas: ops/pair_attention.hpp. All products are
/// of floats split in two bfloat16 (amx/split_tiles.hpp), sums float32.
///
/// Backward, per head, panels of 64 rows (two blocks): for each group of 32 keys the logits S and dA = dy V^T
/// come out of the tiles into L1; vectors make A o M and G of them, split: with pairs along rows (right
/// operands of dV^T += dy^T (A o M) and dK_j^T += Q_j^T G, whose sums [head_dim, 32 keys] live in L2) and, of
/// G, with pairs along columns into a stripe of the panel (256 KB at 1050 nodes). After the last group dQ_j =
/// G K_j over the stripe. Limiters: tile multiplier and vector ports, about equal.

#include <cstring>
#include <limits>

#include "stofm/backend/cpu/amx/pair_attention.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// The products of backward: a panel of two row blocks against the groups of keys, one by one.
class PairBackwardHead {
 public:
  static constexpr std::int64_t panel = 2, block_bytes = 2 * split_bytes;

  PairBackwardHead(const PairHead& from, const PairGradients<float>& into, bool has_values)
      : from_(from),
        into_(into),
        layers_(static_cast<std::int64_t>(from.state.layers.size())),
        has_values_(has_values) {
    const std::int64_t sums = (layers_ + (has_values ? 1 : 0)) * from.k_groups * from.groups * 4096;
    const std::int64_t stripe = panel * from.groups * block_bytes, keys = layers_ * key_bytes(),
                       left = (layers_ + 1) * panel * from.block_step;
    std::uint8_t* memory = scratch_bytes<6>(sums + stripe + keys + left + 4 * panel * block_bytes);
    sums_ = reinterpret_cast<float*>(memory);
    std::memset(memory, 0, static_cast<std::size_t>(sums));
    stripe_ = memory + sums;
    keys_ = stripe_ + stripe;
    left_ = keys_ + keys;
    weights_ = left_ + left;
    gradients_ = weights_ + panel * block_bytes;
    for (std::int64_t l = 0; l < layers_; ++l)
      if (into.q[static_cast<std::size_t>(l)] != nullptr)
        pack_split_values(keys_ + l * key_bytes(), rows_of(layer(l).k.data()), stride(), from.nodes,
                          from.width);
  }

  /// Row-pair operands of the two blocks of the panel: A o M, and G.
  std::uint8_t* weights(std::int64_t of_panel) const { return weights_ + of_panel * block_bytes; }
  std::uint8_t* gradients(std::int64_t of_panel) const { return gradients_ + of_panel * block_bytes; }
  /// Column-pair operand of G for a group.
  std::uint8_t* stripe(std::int64_t of_panel, std::int64_t group) const {
    return stripe_ + (of_panel * from_.groups + group) * block_bytes;
  }

  /// Takes the rows of a panel: queries, and grad_y if there are values.
  void begin_panel(std::int64_t first, std::int64_t count, const float* grad_y) {
    first_ = first;
    count_ = count;
    for (std::int64_t b = 0; b < count; ++b) {
      const std::int64_t row = (first + b) * 32, rows = (std::min<std::int64_t>)(from_.nodes - row, 32);
      for (std::int64_t l = 0; l < layers_; ++l)
        pack_split_transposed(left(l, b), rows_of(layer(l).q.data()) + row * stride(), stride(), rows,
                              from_.width);
      if (grad_y != nullptr)
        pack_split_transposed(left(layers_, b), rows_of(grad_y) + row * stride(), stride(), rows,
                              from_.width);
    }
  }

  /// dK_j^T += Q_j^T G, dV^T += dy^T (A o M) for one group of keys.
  STOFM_TARGET_AMX void add_group(std::int64_t group) const {
    if (has_values_) add_sums(layers_, group, weights_);
    for (std::int64_t l = 0; l < layers_; ++l)
      if (into_.k[static_cast<std::size_t>(l)] != nullptr) add_sums(l, group, gradients_);
  }

  /// dQ_j of the rows of the panel.
  STOFM_TARGET_AMX void end_panel() const {
    alignas(64) float product[1024];
    const std::int64_t value_step = from_.groups * split_bytes;
    for (std::int64_t l = 0; l < layers_; ++l) {
      float* to = into_.q[static_cast<std::size_t>(l)];
      if (to == nullptr) continue;
      const __m512 scale = _mm512_set1_ps(layer(l).scale);
      for (std::int64_t c = 0; c < from_.k_groups; ++c)
        for (std::int64_t b = 0; b < count_; ++b) {
          const std::uint8_t* right = keys_ + l * key_bytes() + c * 2 * value_step;
          zero_sums();
          for (std::int64_t g = 0; g < from_.groups; ++g)
            multiply_split(stripe(b, g), split_bytes, right + g * split_bytes, value_step,
                           right + (g + 1) * split_bytes);
          store_sums(product, 128);
          const std::int64_t row = (first_ + b) * 32;
          for (std::int64_t r = 0; r < (std::min<std::int64_t>)(from_.nodes - row, 32); ++r)
            for (std::int64_t lane = 0; lane < 32; lane += 16) {
              const __mmask16 lanes = avx512::first_lanes(from_.width - c * 32 - lane);
              float* at = to + (row + r) * stride() + from_.head * from_.width + c * 32 + lane;
              if (lanes != 0)
                _mm512_mask_storeu_ps(at, lanes,
                                      _mm512_fmadd_ps(_mm512_load_ps(product + r * 32 + lane), scale,
                                                      _mm512_maskz_loadu_ps(lanes, at)));
            }
        }
    }
  }

  /// Adds the sums over all panels to the gradients of keys and values.
  STOFM_TARGET_AMX void finish() const {
    for (std::int64_t l = 0; l < layers_; ++l) add_transposed(into_.k[static_cast<std::size_t>(l)], l);
    if (has_values_) add_transposed(into_.v, layers_);
  }

 private:
  std::int64_t key_bytes() const { return from_.k_groups * 2 * from_.groups * split_bytes; }
  std::int64_t stride() const { return from_.state.heads * from_.width; }
  const PairLayer<float>& layer(std::int64_t l) const {
    return *from_.state.layers[static_cast<std::size_t>(l)];
  }
  const float* rows_of(const float* matrix) const { return matrix + from_.head * from_.width; }
  std::uint8_t* left(std::int64_t operand, std::int64_t of_panel) const {
    return left_ + (operand * panel + of_panel) * from_.block_step;
  }
  float* sums(std::int64_t operand, std::int64_t c, std::int64_t group) const {
    return sums_ + ((operand * from_.k_groups + c) * from_.groups + group) * 1024;
  }
  STOFM_TARGET_AMX void add_sums(std::int64_t operand, std::int64_t group, const std::uint8_t* right) const {
    for (std::int64_t c = 0; c < from_.k_groups; ++c) {
      float* to = sums(operand, c, group);
      load_sums(to);
      for (std::int64_t b = 0; b < count_; ++b)
        multiply_split(left(operand, b) + c * 2 * split_bytes, split_bytes, right + b * block_bytes,
                       split_bytes);
      store_sums(to, 128);
    }
  }
  STOFM_TARGET_AMX void add_transposed(float* to, std::int64_t operand) const {
    if (to == nullptr) return;
    for (std::int64_t c = 0; c < from_.k_groups; ++c)
      for (std::int64_t g = 0; g < from_.groups; ++g)
        for (std::int64_t half = 0; half < 4; ++half) {
          const std::int64_t key = g * 32 + half / 2 * 16, column = c * 32 + half % 2 * 16;
          const float* from = sums(operand, c, g) + half % 2 * 16 * 32 + half / 2 * 16;
          __m512i block[16];
          for (int r = 0; r < 16; ++r) block[r] = _mm512_load_si512(from + r * 32);
          avx512::transpose_16x16(block);
          const __mmask16 lanes = avx512::first_lanes(from_.width - column);
          for (std::int64_t r = 0; r < (std::min<std::int64_t>)(from_.nodes - key, 16) && lanes != 0; ++r) {
            float* at = to + (key + r) * stride() + from_.head * from_.width + column;
            _mm512_mask_storeu_ps(
                at, lanes, _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, at), _mm512_castsi512_ps(block[r])));
          }
        }
  }

  const PairHead& from_;
  const PairGradients<float>& into_;
  std::int64_t layers_, first_ = 0, count_ = 0;
  bool has_values_;
  float* sums_ = nullptr;
  std::uint8_t *stripe_ = nullptr, *keys_ = nullptr, *left_ = nullptr, *weights_ = nullptr,
               *gradients_ = nullptr;
};

/// Per row of a block: what the softmax gradient needs beside the logits.
struct PairRowSums {
  alignas(64) float log_sum[32];
  alignas(64) float mean[32];  ///< sum_j A_ij dA_ij
};

/// Four vectors a (rows r, r + 16; columns 0 to 15, 16 to 31) in two bfloat16 parts, as pairs along rows at
/// `right` (tiles of 16 columns) and, if wanted, as pairs along columns at `left` (tiles of 16 rows).
STOFM_INLINE_AMX void split_block_rows(const __m512 (&a)[4], std::uint8_t* right, std::uint8_t* left) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000U)), half = _mm512_set1_epi32(0x8000);
  constexpr int select = 0xe4;  // third operand ? first : second, bit by bit
  __m512i hi[4], mid[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    hi[i] = _mm512_and_epi32(_mm512_add_epi32(_mm512_castps_si512(a[i]), half), upper);
    mid[i] = _mm512_add_epi32(_mm512_castps_si512(_mm512_sub_ps(a[i], _mm512_castsi512_ps(hi[i]))), half);
  }
  const __m512i low0 = _mm512_srli_epi32(hi[0], 16), mid0 = _mm512_srli_epi32(mid[0], 16);
  const __m512i low1 = _mm512_srli_epi32(hi[1], 16), mid1 = _mm512_srli_epi32(mid[1], 16);
  _mm512_store_si512(right, _mm512_or_epi32(low0, hi[2]));
  _mm512_store_si512(right + tile_bytes, _mm512_ternarylogic_epi32(mid[2], mid0, upper, select));
  _mm512_store_si512(right + split_bytes, _mm512_or_epi32(low1, hi[3]));
  _mm512_store_si512(right + split_bytes + tile_bytes,
                     _mm512_ternarylogic_epi32(mid[3], mid1, upper, select));
  if (left == nullptr) return;
  const __m512i low2 = _mm512_srli_epi32(hi[2], 16), mid2 = _mm512_srli_epi32(mid[2], 16);
  _mm512_store_si512(left, _mm512_or_epi32(low0, hi[1]));
  _mm512_store_si512(left + tile_bytes, _mm512_ternarylogic_epi32(mid[1], mid0, upper, select));
  _mm512_store_si512(left + split_bytes, _mm512_or_epi32(low2, hi[3]));
  _mm512_store_si512(left + split_bytes + tile_bytes, _mm512_ternarylogic_epi32(mid[3], mid2, upper, select));
}

/// A o M and G of a block from its logits and dA; `logits` becomes G.
STOFM_TARGET_AMX inline void softmax_gradient_block(float* logits, const float* grad_weights,
                                                    const PairRowSums& sums, const std::uint32_t (&kept)[32],
                                                    std::uint32_t inside, float factor, std::uint8_t* weights,
                                                    std::uint8_t* gradients, std::uint8_t* stripe) {
  const __m512 f = _mm512_set1_ps(factor);
  for (int r = 0; r < 16; ++r) {
    __m512 a[4], g[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int row = r + i / 2 * 16, at = row * 32 + i % 2 * 16;
      const auto keep = static_cast<__mmask16>(kept[row] >> (i % 2 * 16));
      const auto real = static_cast<__mmask16>(inside >> (i % 2 * 16));
      const __m512 p = _mm512_maskz_mov_ps(
          real,
          avx512::exponential(_mm512_sub_ps(_mm512_load_ps(logits + at), _mm512_set1_ps(sums.log_sum[row])),
                              softmax_floor));
      a[i] = _mm512_maskz_mul_ps(keep, p, f);
      g[i] = _mm512_fmsub_ps(a[i], _mm512_load_ps(grad_weights + at),
                             _mm512_mul_ps(p, _mm512_set1_ps(sums.mean[row])));
      _mm512_store_ps(logits + at, g[i]);
    }
    split_block_rows(a, weights + r * 64, nullptr);
    split_block_rows(g, gradients + r * 64, stripe + r * 64);
  }
}

inline void pair_backward(const PairState<float>& state, TensorView<const float> v,
                          const WeightDropout& dropout, const float* y, const float* log_sums,
                          const float* grad_y, const PairGradients<float>& into) {
  const std::int64_t n = state.nodes(), width = state.width, stride = state.heads * width;
  const SparseRuns& runs = state.pairs->runs;
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) STOFM_TARGET_AMX {
    for (std::int64_t head = begin; head < end; ++head) {
      const PairHead from(state, head);
      constexpr std::int64_t panel = PairBackwardHead::panel;
      PairBackwardHead products(from, into, into.v != nullptr);
      std::uint8_t* values = scratch_bytes<7>(pair_head_bytes(n, width) + panel * from.block_step);
      std::uint8_t* grads = values + pair_head_bytes(n, width);
      pack_split_tiles<true>(values, v.data + head * width, v.stride(0), n, width);
      float* slot_gradients = into.slots == nullptr ? nullptr : into.slots + head * state.pairs->slots();
      alignas(64) float logits[1024], grad_weights[1024];
      PairRowSums sums[panel];
      std::uint32_t kept[32];
      const TileScope tiles;
      for (std::int64_t first = 0; first < from.blocks; first += panel) {
        const std::int64_t count = (std::min)(panel, from.blocks - first);
        products.begin_panel(first, count, into.v != nullptr ? grad_y : nullptr);
        const SparseRun *run[panel], *runs_end[panel];
        for (std::int64_t b = 0; b < count; ++b) {
          const std::int64_t row = (first + b) * 32, rows = (std::min<std::int64_t>)(n - row, 32);
          const float *dy = grad_y + row * stride + head * width, *out = y + row * stride + head * width;
          pack_split_tiles<false>(grads + b * from.block_step, dy, stride, rows, width);
          for (std::int64_t r = 0; r < 32; ++r) {
            __m512 mean = _mm512_setzero_ps();
            for (std::int64_t c = 0; c < width && r < rows; c += 16) {
              const __mmask16 lanes = avx512::first_lanes(width - c);
              mean = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, dy + r * stride + c),
                                     _mm512_maskz_loadu_ps(lanes, out + r * stride + c), mean);
            }
            sums[b].mean[r] = _mm512_reduce_add_ps(mean);
            // Rows past the end weigh nothing: exp(-inf) = 0.
            sums[b].log_sum[r] =
                r < rows ? log_sums[head * n + row + r] : std::numeric_limits<float>::infinity();
          }
          const auto listed = runs.of_block(first + b);
          run[b] = listed.data();
          runs_end[b] = run[b] + listed.size();
        }
        for (std::int64_t g = 0; g < from.groups; ++g) {
          const std::int64_t left = n - g * 32;
          const std::uint32_t inside = left >= 32 ? ~0U : (1U << left) - 1U;
          for (std::int64_t b = 0; b < count; ++b) {
            pair_logits(from, first + b, g, logits);
            zero_sums();
            for (std::int64_t k = 0; k < from.k_groups; ++k)
              multiply_split(grads + b * from.block_step + k * split_bytes, from.tile_step,
                             values + g * from.block_step + k * split_bytes, from.tile_step);
            store_sums(grad_weights, 128);
            keep_block(kept, dropout, from, first + b, g);
            const SparseRun* here = run[b] != runs_end[b] && run[b]->group == g ? run[b]++ : nullptr;
            add_run(logits, here, runs.positions.data(), from.slots());
            softmax_gradient_block(logits, grad_weights, sums[b], kept, inside,
                                   static_cast<float>(dropout.factor), products.weights(b),
                                   products.gradients(b), products.stripe(b, g));
            if (slot_gradients != nullptr) take_run(logits, here, runs.positions.data(), slot_gradients);
          }
          products.add_group(g);
        }
        products.end_panel();
      }
      products.finish();
    }
  });
}

inline void pair_values_backward(const PairState<float>& state, const AskedPairs& list,
                                 const float* grad_values, const PairGradients<float>& into) {
  const SparseRuns& runs = state.pairs->runs;
  const std::int64_t blocks = state.pairs->blocks();
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) STOFM_TARGET_AMX {
    for (std::int64_t head = begin; head < end; ++head) {
      const PairHead from(state, head);
      constexpr std::int64_t panel = PairBackwardHead::panel;
      PairBackwardHead products(from, into, false);
      float* slot_gradients = into.slots == nullptr ? nullptr : into.slots + head * state.pairs->slots();
      alignas(64) float block[1024];
      const TileScope tiles;
      for (std::int64_t first = 0; first < blocks; first += panel) {
        const std::int64_t count = (std::min)(panel, blocks - first);
        if (list.offsets[static_cast<std::size_t>(first * blocks)] ==
            list.offsets[static_cast<std::size_t>((first + count) * blocks)])
          continue;
        products.begin_panel(first, count, nullptr);
        const SparseRun *run[panel], *runs_end[panel];
        for (std::int64_t b = 0; b < count; ++b) {
          const auto listed = runs.of_block(first + b);
          run[b] = listed.data();
          runs_end[b] = run[b] + listed.size();
        }
        for (std::int64_t g = 0; g < blocks; ++g) {
          for (std::int64_t b = 0; b < count; ++b) {
            const auto at = static_cast<std::size_t>((first + b) * blocks + g);
            std::memset(block, 0, sizeof block);
            for (auto p = static_cast<std::size_t>(list.offsets[at]);
                 p < static_cast<std::size_t>(list.offsets[at + 1]); ++p)
              block[list.positions[p]] += grad_values[list.order[p] * state.heads + head];
            for (int r = 0; r < 16; ++r) {
              __m512 a[4];
              for (int i = 0; i < 4; ++i)
                a[i] = avx512::canonical_nan(_mm512_load_ps(block + (r + i / 2 * 16) * 32 + i % 2 * 16));
              split_block_rows(a, products.gradients(b) + r * 64, products.stripe(b, g) + r * 64);
            }
            const SparseRun* here = run[b] != runs_end[b] && run[b]->group == g ? run[b]++ : nullptr;
            if (slot_gradients != nullptr) take_run(block, here, runs.positions.data(), slot_gradients);
          }
          products.add_group(g);
        }
        products.end_panel();
      }
      products.finish();
    }
  });
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
