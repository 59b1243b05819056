// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention with its gradient in float32 with AVX-512. Formulas: ops/pair_attention_training.hpp; the
/// scheme is that of amx/pair_attention_training.hpp with one block of 32 rows at a time, products as in
/// avx512/linear.hpp: left operands row by row, right operands in panels of 32 columns. Limiter: the two FMA
/// ports.

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "stofm/backend/cpu/avx512/attention.hpp"
#include "stofm/backend/cpu/avx512/dropout_mask.hpp"
#include "stofm/backend/cpu/pair_attention_training_state.hpp"
#include "stofm/core/parallel.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// Keys of a layer: [heads][panels of 32 keys][width, 32].
inline void pack_pair_layer(PairTrainingLayer<float>& layer, std::int64_t heads, std::int64_t width) {
  const std::int64_t n = layer.k.dim(0), stride = heads * width, panels = (n + 31) / 32;
  layer.packed_k = Tensor<std::uint8_t>(Shape{checked_mul(checked_mul(heads * panels, 32 * width), 4)});
  auto* out = reinterpret_cast<float*>(layer.packed_k.data());
  parallel_for(heads * panels, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      pack_panel_transposed(out + t * 32 * width,
                            layer.k.data() + t % panels * 32 * stride + t / panels * width, stride,
                            (std::min<std::int64_t>)(n - t % panels * 32, 32), width);
  });
}

/// y [rows <= 32, columns <= 32] = or += sum over segments of x [rows, k] panel [k, 32].
inline void multiply_block(float* y, std::int64_t y_stride, std::span<const Segment> segments,
                           std::int64_t x_stride, std::int64_t rows, std::int64_t k, std::int64_t columns,
                           const Epilogue& epilogue) {
  if (rows != 32) return multiply_panel(y, y_stride, segments, x_stride, rows, k, columns, epilogue);
  for (std::int64_t r = 0; r < 32; r += 8)
    multiply_tile<8>(y + r * y_stride, y_stride, segments.data(), static_cast<std::int64_t>(segments.size()),
                     r, x_stride, k, columns, epilogue);
}

/// One head of the logits.
struct PairHead {
  const PairTrainingState<float>& state;
  std::int64_t head, nodes, width, groups, stride;

  PairHead(const PairTrainingState<float>& of, std::int64_t which)
      : state(of),
        head(which),
        nodes(of.nodes()),
        width(of.width),
        groups((nodes + 31) / 32),
        stride(of.heads * of.width) {}

  std::int64_t rows(std::int64_t block) const { return (std::min<std::int64_t>)(nodes - block * 32, 32); }
  /// This head's first column of row 32 * block.
  const float* at(const float* matrix, std::int64_t block) const {
    return matrix + block * 32 * stride + head * width;
  }
  float* at(float* matrix, std::int64_t block) const { return matrix + block * 32 * stride + head * width; }
  const float* slots() const { return state.slots.data() + head * state.pattern->slots(); }

  /// out [rows, 32 keys] = sum over layers of q k^T.
  void logits(std::int64_t block, std::int64_t group, float* out, std::int64_t out_stride,
              std::vector<Segment>& segments) const {
    segments.resize(state.layers.size());
    for (std::size_t l = 0; l < segments.size(); ++l)
      segments[l] = {at(state.layers[l]->q.data(), block),
                     reinterpret_cast<const float*>(state.layers[l]->packed_k.data()) +
                         (head * groups + group) * 32 * width};
    multiply_block(out, out_stride, segments, stride, rows(block), width, nodes - group * 32, {});
  }
  /// Adds listed values to logits.
  void add_run(const SparseRun& run, float* out, std::int64_t out_stride) const {
    const SparseRuns& runs = state.pattern->runs;
    const float* values = slots();
    for (std::int64_t e = run.begin; e < run.end; ++e) {
      const int position = runs.positions[static_cast<std::size_t>(e)];
      if (run.group * 32 + position % 32 < nodes && position / 32 < 32)
        out[position / 32 * out_stride + position % 32] += values[e];
    }
  }
  /// Adds a block of gradients to those of listed values.
  void take_run(const SparseRun& run, const float* block, float* slot_gradients) const {
    const SparseRuns& runs = state.pattern->runs;
    for (std::int64_t e = run.begin; e < run.end; ++e)
      slot_gradients[e] += block[runs.positions[static_cast<std::size_t>(e)]];
  }
  void keep(std::uint32_t (&kept)[32], const PairDropout& dropout, std::int64_t block,
            std::int64_t group) const {
    if (dropout.drops())
      dropout_mask_blocks(reinterpret_cast<std::uint8_t*>(kept), dropout.mask,
                          static_cast<std::uint64_t>(((head * groups + group) * groups + block) * 128), 128);
    else
      for (std::uint32_t& row : kept) row = ~0U;
  }
};

/// Zeroes the weights of 32 columns that are not kept.
STOFM_TARGET_AVX512 inline void drop_columns(float* weights, std::int64_t stride, std::int64_t rows,
                                             const std::uint32_t (&kept)[32]) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (int half = 0; half < 32; half += 16)
      _mm512_mask_storeu_ps(weights + r * stride + half, static_cast<__mmask16>(~kept[r] >> half),
                            _mm512_setzero_ps());
}

inline void pair_training_forward(const PairTrainingState<float>& state, TensorView<const float> v,
                                  const PairDropout& dropout, float* y, float* log_sums) {
  const std::int64_t n = state.nodes(), width = state.width, blocks = state.pattern->blocks(),
                     value_floats = (width + 31) / 32 * 32 * n;
  const std::int64_t stride = blocks * 32 + 16;  // never a multiple of 4 KB
  float* values = scratch<float, 5>(checked_mul(state.heads, value_floats));
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t h = begin; h < end; ++h)
      pack_panels(values + h * value_floats, v.data + h * width, v.stride(0), n, width);
  });
  parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    float* logits = scratch<float, 3>(32 * stride);
    std::vector<Segment> segments;
    std::uint32_t kept[32];
    for (std::int64_t t = begin; t < end; ++t) {
      const PairHead from(state, t / blocks);
      const std::int64_t block = t % blocks, rows = from.rows(block);
      for (std::int64_t g = 0; g < blocks; ++g) from.logits(block, g, logits + g * 32, stride, segments);
      for (const SparseRun& run : state.pattern->runs.of_block(block))
        if (run.whole() || run.end > run.begin) from.add_run(run, logits + run.group * 32, stride);
      float factor[32];
      for (std::int64_t r = 0; r < rows; ++r) {
        const float largest = row_maximum(logits + r * stride, n, -std::numeric_limits<float>::infinity());
        const float sum = exponentiate_row(logits + r * stride, n, largest);
        factor[r] = static_cast<float>(dropout.factor) / sum;
        log_sums[from.head * n + block * 32 + r] = largest + std::log(sum);
      }
      for (std::int64_t g = 0; g < blocks && dropout.drops(); ++g) {
        from.keep(kept, dropout, block, g);
        drop_columns(logits + g * 32, stride, rows, kept);
      }
      float* out = from.at(y, block);
      for (std::int64_t column = 0; column < width; column += 32) {
        const Segment segment{logits, values + from.head * value_floats + column * n};
        multiply_block(out + column, from.stride, {&segment, 1}, stride, rows, n, width - column, {});
      }
      for (std::int64_t r = 0; r < rows; ++r) scale_row(out + r * from.stride, width, factor[r]);
    }
  });
}

/// rows[i][j] of a 32 x 32 block <-> rows[j][i].
STOFM_TARGET_AVX512 inline void transpose_block(float* out, const float* in, std::int64_t in_stride) {
  for (int i = 0; i < 32; i += 16)
    for (int j = 0; j < 32; j += 16) {
      __m512i block[16];
      for (int r = 0; r < 16; ++r) block[r] = _mm512_loadu_si512(in + (i + r) * in_stride + j);
      transpose_16x16(block);
      for (int r = 0; r < 16; ++r) _mm512_store_si512(out + (j + r) * 32 + i, block[r]);
    }
}

/// The products of backward for one head: one row block against the groups of keys, one by one.
class PairBackwardHead {
 public:
  PairBackwardHead(const PairHead& from, const PairGradients<float>& into)
      : from_(from),
        into_(into),
        layers_(from.state.layers.size()),
        panels_((from.width + 31) / 32),
        stripe_stride_(from.groups * 32 + 16) {
    const auto layers = static_cast<std::int64_t>(layers_);
    const std::int64_t rows = panels_ * 32 * 32, keys = panels_ * 32 * from.nodes;
    float* memory = scratch<float, 6>(32 * stripe_stride_ + (layers + 1) * rows + layers * keys + 1024);
    stripe_ = memory;
    std::memset(stripe_, 0, static_cast<std::size_t>(32 * stripe_stride_) * sizeof(float));
    rows_ = stripe_ + 32 * stripe_stride_;
    keys_ = rows_ + (layers + 1) * rows;
    transposed_ = keys_ + layers * keys;
    for (std::size_t l = 0; l < layers_; ++l)
      pack_panels(keys_ + static_cast<std::int64_t>(l) * keys, from.at(from.state.layers[l]->k.data(), 0),
                  from.stride, from.nodes, from.width);
  }

  /// G of the row block: row r, group g at stripe()[r * stripe_stride() + g * 32].
  float* stripe() const { return stripe_; }
  std::int64_t stripe_stride() const { return stripe_stride_; }

  void begin_block(std::int64_t block, const float* grad_y) {
    block_ = block;
    for (std::size_t l = 0; l < layers_; ++l)
      pack_panels(rows_ + row_offset(l), from_.at(from_.state.layers[l]->q.data(), block), from_.stride,
                  from_.rows(block), from_.width);
    if (grad_y != nullptr)
      pack_panels(rows_ + row_offset(layers_), from_.at(grad_y, block), from_.stride, from_.rows(block),
                  from_.width);
  }
  /// dK_j += G^T Q_j of one group of keys.
  void add_keys(std::int64_t group) const {
    transpose_block(transposed_, stripe_ + group * 32, stripe_stride_);
    for (std::size_t l = 0; l < layers_; ++l)
      if (into_.k[l] != nullptr) add_columns(l, group, into_.k[l]);
  }
  /// dV += weights^T dy of one group of keys; weights: [32, 32].
  void add_values(std::int64_t group, const float* weights) const {
    transpose_block(transposed_, weights, 32);
    add_columns(layers_, group, into_.v);
  }
  /// dQ_j of the rows of the block.
  void end_block() const {
    alignas(64) float product[1024];
    for (std::size_t l = 0; l < layers_; ++l) {
      if (into_.q[l] == nullptr) continue;
      for (std::int64_t c = 0; c < panels_; ++c) {
        const Segment segment{stripe_,
                              keys_ + (static_cast<std::int64_t>(l) * panels_ + c) * 32 * from_.nodes};
        multiply_block(product, 32, {&segment, 1}, stripe_stride_, from_.rows(block_), from_.nodes, 32, {});
        add_scaled(from_.at(into_.q[l], block_) + c * 32, product, from_.width - c * 32,
                   from_.state.layers[l]->scale);
      }
    }
  }

 private:
  std::int64_t row_offset(std::size_t operand) const {
    return static_cast<std::int64_t>(operand) * panels_ * 1024;
  }
  void add_columns(std::size_t operand, std::int64_t group, float* to) const {
    const std::int64_t rows = from_.rows(block_);
    for (std::int64_t c = 0; c < panels_; ++c) {
      const Segment segment{transposed_, rows_ + row_offset(operand) + c * 32 * rows};
      multiply_block(from_.at(to, group) + c * 32, from_.stride, {&segment, 1}, 32, from_.rows(group), rows,
                     from_.width - c * 32, Epilogue{nullptr, 1.0F, Activation::identity, true});
    }
  }
  STOFM_TARGET_AVX512 void add_scaled(float* to, const float* from, std::int64_t columns,
                                      float factor) const {
    const __m512 f = _mm512_set1_ps(factor);
    for (std::int64_t r = 0; r < from_.rows(block_); ++r)
      for (std::int64_t lane = 0; lane < 32; lane += 16) {
        const __mmask16 lanes = first_lanes(columns - lane);
        if (lanes == 0) continue;
        float* at = to + r * from_.stride + lane;
        _mm512_mask_storeu_ps(
            at, lanes,
            _mm512_fmadd_ps(_mm512_load_ps(from + r * 32 + lane), f, _mm512_maskz_loadu_ps(lanes, at)));
      }
  }

  const PairHead& from_;
  const PairGradients<float>& into_;
  std::size_t layers_;
  std::int64_t panels_, stripe_stride_, block_ = 0;
  float *stripe_ = nullptr, *rows_ = nullptr, *keys_ = nullptr, *transposed_ = nullptr;
};

/// From logits and dA [32, 32]: `logits` becomes A o M, `gradient` rows (`stride` apart) G.
STOFM_TARGET_AVX512 inline void softmax_gradient_block(float* logits, const float* grad_weights,
                                                       float* gradient, std::int64_t stride,
                                                       std::int64_t rows, const float* log_sums,
                                                       const float* means, const std::uint32_t (&kept)[32],
                                                       std::int64_t columns, float factor) {
  const __m512 f = _mm512_set1_ps(factor);
  for (std::int64_t r = 0; r < rows; ++r)
    for (int half = 0; half < 32; half += 16) {
      float* row = logits + r * 32 + half;
      const __m512 p = _mm512_maskz_mov_ps(
          first_lanes(columns - half),
          exp_ps(_mm512_sub_ps(_mm512_load_ps(row), _mm512_set1_ps(log_sums[r])), softmax_floor));
      const __m512 a = _mm512_maskz_mul_ps(static_cast<__mmask16>(kept[r] >> half), p, f);
      _mm512_store_ps(row, a);
      _mm512_storeu_ps(gradient + r * stride + half,
                       _mm512_fmsub_ps(a, _mm512_load_ps(grad_weights + r * 32 + half),
                                       _mm512_mul_ps(p, _mm512_set1_ps(means[r]))));
    }
}

inline void pair_training_backward(const PairTrainingState<float>& state, TensorView<const float> v,
                                   const PairDropout& dropout, const float* y, const float* log_sums,
                                   const float* grad_y, const PairGradients<float>& into) {
  const std::int64_t n = state.nodes(), width = state.width, blocks = state.pattern->blocks();
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Segment> segments;
    for (std::int64_t head = begin; head < end; ++head) {
      const PairHead from(state, head);
      PairBackwardHead products(from, into);
      float* values = scratch<float, 7>(blocks * 32 * width);
      for (std::int64_t g = 0; g < blocks; ++g)
        pack_panel_transposed(values + g * 32 * width, v.row(g * 32) + head * width, v.stride(0),
                              from.rows(g), width);
      float* slot_gradients = into.slots == nullptr ? nullptr : into.slots + head * state.pattern->slots();
      alignas(64) float logits[1024] = {}, grad_weights[1024] = {}, gradient[1024];
      float means[32];
      std::uint32_t kept[32];
      for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t rows = from.rows(block);
        const float *dy = from.at(grad_y, block), *out = from.at(y, block);
        products.begin_block(block, into.v != nullptr ? grad_y : nullptr);
        for (std::int64_t r = 0; r < rows; ++r) {
          means[r] = 0;
          for (std::int64_t c = 0; c < width; ++c)
            means[r] += dy[r * from.stride + c] * out[r * from.stride + c];
        }
        const auto listed = state.pattern->runs.of_block(block);
        auto run = listed.begin();
        for (std::int64_t g = 0; g < blocks; ++g) {
          from.logits(block, g, logits, 32, segments);
          const bool has_run = run != listed.end() && run->group == g;
          if (has_run) from.add_run(*run, logits, 32);
          const Segment segment{dy, values + g * 32 * width};
          multiply_block(grad_weights, 32, {&segment, 1}, from.stride, rows, width, n - g * 32, {});
          from.keep(kept, dropout, block, g);
          float* stripe = products.stripe() + g * 32;
          softmax_gradient_block(logits, grad_weights, stripe, products.stripe_stride(), rows,
                                 log_sums + head * n + block * 32, means, kept, n - g * 32,
                                 static_cast<float>(dropout.factor));
          if (has_run && slot_gradients != nullptr) {
            for (std::int64_t r = 0; r < 32; ++r)
              std::memcpy(gradient + r * 32, stripe + r * products.stripe_stride(), 128);
            from.take_run(*run, gradient, slot_gradients);
          }
          if (has_run) ++run;
          products.add_keys(g);
          if (into.v != nullptr) products.add_values(g, logits);
        }
        products.end_block();
      }
    }
  });
}

/// P at the listed pairs, [pairs, heads].
inline void pair_training_values(const PairTrainingState<float>& state, const PairList& list,
                                 const float* background, float* values) {
  const std::int64_t blocks = state.pattern->blocks();
  parallel_for(state.heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) float logits[1024];
    std::vector<Segment> segments;
    for (std::int64_t t = begin; t < end; ++t) {
      const PairHead from(state, t / blocks);
      const std::int64_t block = t % blocks;
      const auto listed = state.pattern->runs.of_block(block);
      auto run = listed.begin();
      for (std::int64_t g = 0; g < blocks; ++g) {
        const bool has_run = run != listed.end() && run->group == g;
        const SparseRun here = has_run ? *run++ : SparseRun{};
        const auto at = static_cast<std::size_t>(block * blocks + g);
        if (list.offsets[at] == list.offsets[at + 1]) continue;
        from.logits(block, g, logits, 32, segments);
        if (has_run) from.add_run(here, logits, 32);
        for (auto p = static_cast<std::size_t>(list.offsets[at]);
             p < static_cast<std::size_t>(list.offsets[at + 1]); ++p)
          values[list.order[p] * state.heads + from.head] = logits[list.positions[p]] + background[from.head];
      }
    }
  });
}

inline void pair_training_values_backward(const PairTrainingState<float>& state, const PairList& list,
                                          const float* grad_values, const PairGradients<float>& into) {
  const std::int64_t blocks = state.pattern->blocks();
  parallel_for(state.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t head = begin; head < end; ++head) {
      const PairHead from(state, head);
      PairBackwardHead products(from, into);
      float* slot_gradients = into.slots == nullptr ? nullptr : into.slots + head * state.pattern->slots();
      alignas(64) float gradient[1024];
      for (std::int64_t block = 0; block < blocks; ++block) {
        const auto first = static_cast<std::size_t>(block * blocks);
        if (list.offsets[first] == list.offsets[first + static_cast<std::size_t>(blocks)]) continue;
        products.begin_block(block, nullptr);
        const auto listed = state.pattern->runs.of_block(block);
        auto run = listed.begin();
        for (std::int64_t g = 0; g < blocks; ++g) {
          const auto at = first + static_cast<std::size_t>(g);
          std::memset(gradient, 0, sizeof gradient);
          for (auto p = static_cast<std::size_t>(list.offsets[at]);
               p < static_cast<std::size_t>(list.offsets[at + 1]); ++p)
            gradient[list.positions[p]] += grad_values[list.order[p] * state.heads + head];
          for (std::int64_t r = 0; r < 32; ++r)
            std::memcpy(products.stripe() + g * 32 + r * products.stripe_stride(), gradient + r * 32, 128);
          const bool has_run = run != listed.end() && run->group == g;
          if (has_run && slot_gradients != nullptr) from.take_run(*run, gradient, slot_gradients);
          if (has_run) ++run;
          if (list.offsets[at] != list.offsets[at + 1]) products.add_keys(g);
        }
        products.end_block();
      }
    }
  });
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
