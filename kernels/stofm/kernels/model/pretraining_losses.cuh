// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The losses of pretraining with their gradients (formulas: model/pretraining_heads.hpp,
/// model/pair_head.hpp).
///   cosine     loss_i = 1 - cos(x_i, t_i), grad_x = -scale (t / |t| - x / |x| cos) / |x|; a warp owns a row
///   pair head  z = W0 p + b0, y = w2 . relu(z) + b2, loss += (y - target)^2, e = 2 scale (y - target):
///              dw2 = e relu(z), db2 = e, dz = e w2 [z > 0], db0 = dz, dW0 = dz p^T, dp = W0^T dz
/// The pair head takes tiles of 128 pairs, a thread a pair; then a thread owns every 128th gradient and adds
/// the pairs of the tile in their order; blocks are added by `add_partials_kernel`. Losses are summed in
/// double. *Deterministic*. *Limiter* bytes: 4 C read and written per row; 8 H + 4 per pair.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/encoder_block/operand_store.cuh"
#include "stofm/kernels/model/policy.hpp"

namespace stofm::kernels::se2 {

struct CosineParams {
  float* x = nullptr;             // [rows, columns] predictions; replaced by scale * gradient
  const float* target = nullptr;  // [rows, columns]
  double* loss = nullptr;         // [rows]
  float scale = 1.0F;
  std::int64_t rows = 0, columns = 0;
};

static __global__ void __launch_bounds__(RowPolicy::threads) cosine_kernel(const CosineParams p) {
  const std::int64_t row = std::int64_t{blockIdx.x} * RowPolicy::warps + warp();
  if (row >= p.rows) return;  // whole warps
  float* const x = p.x + row * p.columns;
  const float* const t = p.target + row * p.columns;
  double xx = 0, xt = 0, tt = 0;
  for (std::int64_t c = lane(); c < p.columns; c += warp_size) {
    const double a = static_cast<double>(x[c]), b = static_cast<double>(t[c]);
    xx += a * a;
    xt += a * b;
    tt += b * b;
  }
  xx = warp_sum(xx);
  xt = warp_sum(xt);
  tt = warp_sum(tt);
  const double by_x = xx == 0 ? 0.0 : 1.0 / sqrt(xx), by_t = tt == 0 ? 0.0 : 1.0 / sqrt(tt);
  const double cosine = xt * by_x * by_t;
  for (std::int64_t c = lane(); c < p.columns; c += warp_size)
    x[c] = p.scale * static_cast<float>(-by_x * (static_cast<double>(t[c]) * by_t -
                                                 static_cast<double>(x[c]) * by_x * cosine));
  if (lane() == 0) p.loss[row] = 1.0 - cosine;
}

struct HeadSumsParams {
  const double* row_loss = nullptr;   // [rows]
  const double* pair_loss = nullptr;  // [pair_blocks]
  double* losses = nullptr;           // [2] written: of the rows, of the pairs
  std::int64_t rows = 0, pair_blocks = 0;
  // Gradient of the background of the logits, which every pair's logits hold: sum over pairs dp = W0^T db0.
  const double* grad_b0 = nullptr;   // [pair_blocks, H] of pair_head_kernel
  const float* w0 = nullptr;         // [H, H]
  float* grad_background = nullptr;  // [H] or null
  std::int64_t heads = 0;
};
struct HeadSumsStorage {
  double scratch[8];
  double grad_b0[PairHeadPolicy::most_heads];
};
/// What both heads leave in parts, in blocks of 256 threads: 0 and 1 the losses (strided sums, then the fixed
/// tree of block_sum), 2 the background (in double; a thread a head, over the blocks in their order).
static __global__ void __launch_bounds__(256) head_sums_kernel(const HeadSumsParams p) {
  auto& shared = shared_memory<HeadSumsStorage>();
  if (blockIdx.x < 2) {
    const double* const values = blockIdx.x == 0 ? p.row_loss : p.pair_loss;
    const std::int64_t count = blockIdx.x == 0 ? p.rows : p.pair_blocks;
    double sum = 0;
    for (std::int64_t i = threadIdx.x; i < count; i += 256) sum += values[i];
    sum = block_sum(sum, shared.scratch);
    if (threadIdx.x == 0) p.losses[blockIdx.x] = sum;
    return;
  }
  const int heads = static_cast<int>(p.heads), head = static_cast<int>(threadIdx.x);
  if (head < heads) {
    double sum = 0;
    for (std::int64_t b = 0; b < p.pair_blocks; ++b) sum += p.grad_b0[b * heads + head];
    shared.grad_b0[head] = sum;
  }
  block_sync();
  if (head >= heads) return;
  double sum = 0;
  for (int j = 0; j < heads; ++j) sum += static_cast<double>(p.w0[j * heads + head]) * shared.grad_b0[j];
  p.grad_background[head] = static_cast<float>(sum);
}

struct ScatterRowsParams {
  float* into = nullptr;                  // [*, columns]
  const std::int32_t* rows_of = nullptr;  // [rows], each at most once
  const float* from = nullptr;            // [rows, columns]
  std::int64_t rows = 0, columns = 0;
};
static __global__ void __launch_bounds__(256) scatter_rows_kernel(const ScatterRowsParams p) {
  const std::int64_t quads = p.columns / 4, at = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= p.rows * quads) return;
  const std::int64_t row = at / quads, column = 4 * (at % quads);
  store_quad(p.into + std::int64_t{p.rows_of[row]} * p.columns + column,
             load_quad(p.from + row * p.columns + column));
}

struct TypeGradientParams {
  const float* grad = nullptr;          // [rows, columns]
  const std::int32_t* types = nullptr;  // [rows] 0 to 3
  float* partial = nullptr;             // [blocks, 4, columns]
  std::int64_t rows = 0, columns = 0, rows_per_block = 0;
};
/// Sums of rows by type; a thread owns a column of a block of consecutive rows.
static __global__ void __launch_bounds__(256) type_gradient_kernel(const TypeGradientParams p) {
  const std::int64_t column = std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  if (column >= p.columns) return;
  const std::int64_t begin = std::int64_t{blockIdx.x} * p.rows_per_block;
  const std::int64_t end = begin + p.rows_per_block < p.rows ? begin + p.rows_per_block : p.rows;
  float sums[4] = {};
  for (std::int64_t row = begin; row < end; ++row) {
    const float g = p.grad[row * p.columns + column];
    const std::int32_t type = p.types[row];
#pragma unroll
    for (int t = 0; t < 4; ++t) sums[t] += t == type ? g : 0.0F;
  }
#pragma unroll
  for (int t = 0; t < 4; ++t) p.partial[(std::int64_t{blockIdx.x} * 4 + t) * p.columns + column] = sums[t];
}

struct CentreRowsParams {
  float* w = nullptr;  // [rows, columns]
  std::int64_t rows = 0, columns = 0;
};
/// Subtracts its mean from every row, as train/masked_input.hpp; a warp owns a row.
static __global__ void __launch_bounds__(RowPolicy::threads) centre_rows_kernel(const CentreRowsParams p) {
  const std::int64_t row = std::int64_t{blockIdx.x} * RowPolicy::warps + warp();
  if (row >= p.rows) return;
  float* const w = p.w + row * p.columns;
  double sum = 0;
  for (std::int64_t c = lane(); c < p.columns; c += warp_size) sum += static_cast<double>(w[c]);
  const float mean = static_cast<float>(warp_sum(sum) / static_cast<double>(p.columns));
  for (std::int64_t c = lane(); c < p.columns; c += warp_size) w[c] -= mean;
}

struct PairHeadParams {
  const float* values = nullptr;                                           // [pairs, heads]
  const float* targets = nullptr;                                          // [pairs]
  const float *w0 = nullptr, *b0 = nullptr, *w2 = nullptr, *b2 = nullptr;  // [H, H], [H], [H], [1]
  float scale = 1.0F;            // of the gradients, not of the loss
  float* grad_values = nullptr;  // [pairs, heads]; may be values
  float* partial = nullptr;      // [blocks, H^2 + 2 H + 1]: W0, b0, w2, b2
  double* loss = nullptr;        // [blocks]
  double* grad_b0 = nullptr;     // [blocks, H] the sums of b0 before they are rounded, or null
  std::int64_t pairs = 0, heads = 0;
};

static __global__ void __launch_bounds__(PairHeadPolicy::threads) pair_head_kernel(const PairHeadParams p) {
  constexpr int tile = PairHeadPolicy::threads;
  const int heads = static_cast<int>(p.heads), stride = heads + 1, me = static_cast<int>(threadIdx.x);
  const int sums = heads * heads + 2 * heads + 1;
  float* const values = reinterpret_cast<float*>(shared_bytes());  // [tile, H + 1]
  float* const slopes = values + tile * stride;                    // [tile, H + 1] dz
  float* const active = slopes + tile * stride;                    // [tile, H + 1] relu(z)
  float* const w0 = active + tile * stride;                        // [H, H]
  float* const b0 = w0 + heads * heads;                            // [H]
  float* const w2 = b0 + heads;                                    // [H]
  float* const total = w2 + heads;                                 // [sums]
  float* const errors = total + sums;                              // [tile]
  for (int i = me; i < heads * heads; i += tile) w0[i] = p.w0[i];
  for (int i = me; i < heads; i += tile) {
    b0[i] = p.b0[i];
    w2[i] = p.w2[i];
  }
  for (int i = me; i < sums; i += tile) total[i] = 0.0F;
  const float b2 = *p.b2;
  double loss = 0;
  double sum_b0 = 0;  // of the one number of b0 that this thread sums
  static_assert(PairHeadPolicy::most_heads <= tile, "no thread sums two of them");
  const std::int64_t tiles = (p.pairs + tile - 1) / tile;
  for (std::int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
    const std::int64_t pair = t * tile + me;
    const bool mine = pair < p.pairs;
    block_sync();  // weights are there; nobody reads the tile before any more
    for (int i = 0; i < heads; ++i) values[me * stride + i] = mine ? p.values[pair * heads + i] : 0.0F;

    // ---- one pair a thread
    float y = b2;
    for (int j = 0; j < heads; ++j) {
      float z = b0[j];
      for (int i = 0; i < heads; ++i) z += w0[j * heads + i] * values[me * stride + i];
      const float x = z <= 0.0F ? 0.0F : z;  // NaN stays
      active[me * stride + j] = x;
      y += w2[j] * x;
    }
    const float difference = mine ? y - p.targets[pair] : 0.0F;
    loss += static_cast<double>(difference) * static_cast<double>(difference);
    const float e = 2.0F * difference * p.scale;
    errors[me] = e;
    for (int j = 0; j < heads; ++j)
      slopes[me * stride + j] = active[me * stride + j] == 0.0F ? 0.0F : e * w2[j];
    for (int i = 0; mine && i < heads; ++i) {
      float grad = 0.0F;
      for (int j = 0; j < heads; ++j) grad += slopes[me * stride + j] * w0[j * heads + i];
      p.grad_values[pair * heads + i] = grad;
    }
    block_sync();

    // ---- one gradient a thread, over the pairs of the tile
    for (int s = me; s < sums; s += tile) {
      float sum = 0.0F;
      if (s < heads * heads) {
        const int j = s / heads, i = s % heads;
        for (int q = 0; q < tile; ++q) sum += slopes[q * stride + j] * values[q * stride + i];
      } else if (s < heads * heads + heads) {
        for (int q = 0; q < tile; ++q) sum_b0 += static_cast<double>(slopes[q * stride + s - heads * heads]);
        total[s] = static_cast<float>(sum_b0);
        continue;
      } else if (s < sums - 1) {
        for (int q = 0; q < tile; ++q) sum += errors[q] * active[q * stride + s - heads * heads - heads];
      } else {
        for (int q = 0; q < tile; ++q) sum += errors[q];
      }
      total[s] += sum;  // this thread alone touches it
    }
  }
  for (int s = me; s < sums; s += tile) {
    p.partial[std::int64_t{blockIdx.x} * sums + s] = total[s];
    const int j = s - heads * heads;
    if (p.grad_b0 != nullptr && j >= 0 && j < heads) p.grad_b0[std::int64_t{blockIdx.x} * heads + j] = sum_b0;
  }
  block_sync();  // the tile is free: the losses of the warps go there
  loss = block_sum(loss, reinterpret_cast<double*>(shared_bytes()));
  if (me == 0) p.loss[blockIdx.x] = loss;
}

}  // namespace stofm::kernels::se2
