// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Small kernels of training the cell encoder:
///   drop_rows:     x = x * keep / (1 - p) in place
///   add_rows_at:   x[places_i] += y_i, places different from each other
///   gene_rows:     a row of logits -> its cross-entropy, whether the target comes first, and in place the
///   gradient
///                  weight * (softmax - one at the target)
/// The first two: a thread owns four columns; gene_rows: a block owns a row, sums over its threads in a fixed
/// order. No atomics. Deterministic. Limited by bytes: 8, 12 and 16 per element.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/encoder_block/row_norm.cuh"

namespace stofm::kernels::cell_encoder {

struct DropRowsParams {
  float* x = nullptr;  // dense
  DropoutParams dropout;
  std::int64_t quads = 0;
};
static __global__ void drop_rows_kernel(const DropRowsParams p) {
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= p.quads) return;
  Quad q = load_quad(p.x + 4 * at);
  drop_quad(p.dropout, 4 * at, q);
  store_quad(p.x + 4 * at, q);
}
inline void launch_drop_rows(const DropRowsParams& params, backend::CudaStream stream) {
  if (params.dropout.threshold == 0) return;
  launch(drop_rows_kernel,
         per_item(params.quads, stream, "drop_rows"),
         params);
}

struct AddRowsAtParams {
  float* x = nullptr;                    // [*, columns] dense
  const float* y = nullptr;              // [rows, columns] dense
  const std::int64_t* places = nullptr;  // [rows]
  std::int64_t rows = 0, columns = 0;
};
static __global__ void add_rows_at_kernel(const AddRowsAtParams p) {
  const std::int64_t quads = p.columns / 4, at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= p.rows * quads) return;
  const std::int64_t row = at / quads, column = 4 * (at % quads);
  float* const to = p.x + p.places[row] * p.columns + column;
  Quad x = load_quad(to);
  const Quad y = load_quad(p.y + row * p.columns + column);
  STOFM_UNROLL
  for (int i = 0; i < 4; ++i) x.v[i] += y.v[i];
  store_quad(to, x);
}
inline void launch_add_rows_at(const AddRowsAtParams& params, backend::CudaStream stream) {
  launch(add_rows_at_kernel,
         per_item(params.rows * (params.columns / 4), stream, "add_rows_at"),
         params);
}

struct GeneRowsParams {
  float* logits = nullptr;                // [rows, columns] dense; becomes the gradient
  const std::int32_t* targets = nullptr;  // [rows]
  const float* factors = nullptr;         // [rows] of the gradient
  double* losses = nullptr;               // [rows]
  std::int32_t* right = nullptr;          // [rows] 1 if no logit is larger than the target's
  std::int64_t rows = 0, columns = 0;
};
struct GeneRowsPolicy {
  static constexpr int threads = 256;
};
struct GeneRowsStorage {
  float scratch[GeneRowsPolicy::threads / 32];
};
static __global__ void __launch_bounds__(GeneRowsPolicy::threads) gene_rows_kernel(const GeneRowsParams p) {
  auto& shared = shared_memory<GeneRowsStorage>();
  const std::int64_t row = blockIdx.x;
  float* const logits = p.logits + row * p.columns;
  const std::int64_t target = p.targets[row];
  const float own = logits[target];
  float largest = -INFINITY;
  for (std::int64_t j = threadIdx.x; j < p.columns; j += GeneRowsPolicy::threads)
    largest = maximum(largest, logits[j]);
  largest = block_max(largest, shared.scratch);
  float sum = 0.0F;
  for (std::int64_t j = threadIdx.x; j < p.columns; j += GeneRowsPolicy::threads)
    sum += expf(logits[j] - largest);
  sum = block_sum(sum, shared.scratch);  // its barriers also end the reading of `own`
  const float factor = p.factors[row] / sum;
  for (std::int64_t j = threadIdx.x; j < p.columns; j += GeneRowsPolicy::threads) {
    const float gradient = factor * expf(logits[j] - largest);
    logits[j] = j == target ? gradient - p.factors[row] : gradient;
  }
  if (threadIdx.x == 0) {
    p.losses[row] = log(static_cast<double>(sum)) + static_cast<double>(largest) - static_cast<double>(own);
    p.right[row] = own >= largest ? 1 : 0;
  }
}
inline void launch_gene_rows(const GeneRowsParams& params, backend::CudaStream stream) {
  launch(gene_rows_kernel,
         {.grid = {blocks(params.rows)},
          .block = {GeneRowsPolicy::threads},
          .shared_bytes = sizeof(GeneRowsStorage),
          .stream = stream,
          .name = "gene_rows"},
         params);
}

}  // namespace stofm::kernels::cell_encoder
