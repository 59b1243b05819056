// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Losses with their gradients in one pass. Each row's loss goes to a workspace in double; a last block adds
/// them in a fixed order. *Deterministic*.
///   squared error     sum (x - t)^2,             gradient 2 (x - t)
///   cosine            sum_i 1 - cos(x_i, t_i),   gradient -(t/|t| - x/|x| cos) / |x|; 0 for rows of zeros
///   cross entropy     sum_i -w_i log softmax(x_i)[target_i], gradient w_i (softmax(x_i) - one at target_i)
/// A warp owns a row; for cross entropy (many columns) a block does. Sums in double, those of exponentials in
/// float. *Limiter* bytes: 12 an element, cross entropy 8 and 4 more from the caches.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/rows.cuh"
#include "stofm/kernels/common/shared.cuh"

namespace stofm::kernels {

struct LossPolicy {
  static constexpr int warps = 8, threads = 256;
};

struct RowLossParams {
  Rows<float> gradient;
  Rows<const float> x, target;
  double* losses;  ///< [rows] workspace
  std::int64_t rows, columns;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) squared_error_rows(const RowLossParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  double sum = 0.0;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const float difference = p.x.row(row)[j] - p.target.row(row)[j];
    sum += static_cast<double>(difference) * static_cast<double>(difference);
    p.gradient.row(row)[j] = 2.0F * difference;
  }
  sum = warp_sum(sum);
  if (lane() == 0) p.losses[row] = sum;
}

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) cosine_rows(const RowLossParams p) {
  const std::int64_t row = row_of_warp<Policy>();
  if (row >= p.rows) return;
  const float *a = p.x.row(row), *b = p.target.row(row);
  double aa = 0.0, ab = 0.0, bb = 0.0;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const double u = static_cast<double>(a[j]), v = static_cast<double>(b[j]);
    aa += u * u;
    ab += u * v;
    bb += v * v;
  }
  aa = warp_sum(aa);
  ab = warp_sum(ab);
  bb = warp_sum(bb);
  const double a_factor = aa == 0.0 ? 0.0 : 1.0 / sqrt(aa), b_factor = bb == 0.0 ? 0.0 : 1.0 / sqrt(bb);
  const double cosine = ab * a_factor * b_factor;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size)
    p.gradient.row(row)[j] = static_cast<float>(
        -a_factor * (static_cast<double>(b[j]) * b_factor - static_cast<double>(a[j]) * a_factor * cosine));
  if (lane() == 0) p.losses[row] = 1.0 - cosine;
}

struct CrossEntropyParams {
  Rows<float> gradient;  ///< may be the logits
  Rows<const float> logits;
  const std::int32_t* targets;  ///< [rows] in [0, columns) where the weight is not 0
  const float* weights;         ///< [rows] or null: 1 each
  double* losses;               ///< [rows] workspace
  std::int64_t rows, columns;
};

template <class Policy>
struct LossStorage {
  double sums[Policy::warps];
  float largest[Policy::warps];
};

/// One block a row.
template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) cross_entropy_rows(const CrossEntropyParams p) {
  auto& shared = shared_memory<LossStorage<Policy>>();
  const std::int64_t row = blockIdx.x;
  const float* x = p.logits.row(row);
  float* gradient = p.gradient.row(row);
  const float weight = p.weights == nullptr ? 1.0F : p.weights[row];
  const int thread = static_cast<int>(threadIdx.x);
  if (weight == 0.0F) {  // the whole block
    for (std::int64_t j = thread; j < p.columns; j += Policy::threads) gradient[j] = 0.0F;
    if (thread == 0) p.losses[row] = 0.0;
    return;
  }
  const std::int64_t target = p.targets[row];
  const float lowest = -INFINITY;
  float largest = lowest;
  for (std::int64_t j = thread; j < p.columns; j += Policy::threads)
    largest = x[j] > largest ? x[j] : largest;
  largest = block_max(largest, shared.largest);
  if (largest == lowest) largest = 0.0F;
  double sum = 0.0;
  for (std::int64_t j = thread; j < p.columns; j += Policy::threads)
    sum += static_cast<double>(expf(x[j] - largest));
  sum = block_sum(sum, shared.sums);
  const float factor = static_cast<float>(static_cast<double>(weight) / sum);
  const float chosen = x[target];
  block_sync();  // `gradient` may be the logits: everyone has read them, the chosen one too
  for (std::int64_t j = thread; j < p.columns; j += Policy::threads) {
    const float share = expf(x[j] - largest) * factor;
    gradient[j] = j == target ? share - weight : share;
  }
  if (thread == 0)
    p.losses[row] =
        static_cast<double>(weight) * (log(sum) + static_cast<double>(largest) - static_cast<double>(chosen));
}

struct SumLossesParams {
  const double* losses;  ///< [count]
  double* sum;           ///< one number
  std::int64_t count;
};

/// One block; thread t adds every 256th number, then the fixed tree of the block.
template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) sum_losses(const SumLossesParams p) {
  auto& shared = shared_memory<LossStorage<Policy>>();
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < p.count; i += Policy::threads) sum += p.losses[i];
  sum = block_sum(sum, shared.sums);
  if (threadIdx.x == 0) *p.sum = sum;
}

/// Adds up what the rows left.
template <class Policy = LossPolicy>
void launch_sum_losses(const SumLossesParams& params, CudaStream stream) {
  launch(sum_losses<Policy>,
         {.grid = {1},
          .block = {Policy::threads},
          .shared_bytes = sizeof(LossStorage<Policy>),
          .stream = stream,
          .name = "sum_losses"},
         params);
}
/// Queues two kernels; the sum of the losses of all rows is at `sum`, on the device.
template <class Policy = LossPolicy>
void launch_squared_error(const RowLossParams& params, double* sum, CudaStream stream) {
  launch_rows<Policy>(squared_error_rows<Policy>, params.rows, stream, "squared_error", params);
  launch_sum_losses<Policy>({params.losses, sum, params.rows}, stream);
}
template <class Policy = LossPolicy>
void launch_cosine_loss(const RowLossParams& params, double* sum, CudaStream stream) {
  launch_rows<Policy>(cosine_rows<Policy>, params.rows, stream, "cosine_loss", params);
  launch_sum_losses<Policy>({params.losses, sum, params.rows}, stream);
}
template <class Policy = LossPolicy>
void launch_cross_entropy(const CrossEntropyParams& params, double* sum, CudaStream stream) {
  launch(cross_entropy_rows<Policy>,
         {.grid = {blocks(params.rows)},
          .block = {Policy::threads},
          .shared_bytes = sizeof(LossStorage<Policy>),
          .stream = stream,
          .name = "cross_entropy"},
         params);
  launch_sum_losses<Policy>({params.losses, sum, params.rows}, stream);
}

}  // namespace stofm::kernels
