// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums over the rows of a matrix, in double and in a fixed order: sums[j] += sum_i x[i, j].
/// First kernel: a block of 32 x 8 threads owns 32 columns of 256 rows; thread (c, r) adds rows r, r + 8,
/// ..., then thread (c, 0) the eight partial sums in order. Second: a thread per column adds the chunks of
/// 256 rows in order. Shared memory 2 KiB; one barrier. *Deterministic*. *Limiter* bytes: 4 an element.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/rows.cuh"

namespace stofm::kernels {

struct ColumnSumsPolicy {
  static constexpr int columns = 32, row_threads = 8;
  static constexpr int threads = columns * row_threads;
  static constexpr std::int64_t chunk = 256;  ///< rows of a block
  static constexpr int finish_threads = 128;
  /// Doubles of workspace.
  static constexpr std::int64_t workspace(std::int64_t rows, std::int64_t columns_) {
    return (rows + chunk - 1) / chunk * columns_;
  }
};

struct ColumnSumsParams {
  Rows<const float> x;
  double* partial;  ///< [chunks, columns] workspace
  float* sums;      ///< [columns], added to
  std::int64_t rows, columns;
};

template <class Policy>
struct ColumnSumsStorage {
  double partial[Policy::row_threads][Policy::columns];
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) partial_column_sums(const ColumnSumsParams p) {
  auto& shared = shared_memory<ColumnSumsStorage<Policy>>();
  const std::int64_t tiles = ceil_div(p.columns, Policy::columns);
  const std::int64_t chunk = std::int64_t{blockIdx.x} / tiles;
  const int c = static_cast<int>(threadIdx.x), r = static_cast<int>(threadIdx.y);
  const std::int64_t column = std::int64_t{blockIdx.x} % tiles * Policy::columns + c;
  const std::int64_t end = minimum<std::int64_t>(p.rows, (chunk + 1) * Policy::chunk);
  double total = 0.0;
  if (column < p.columns)
    for (std::int64_t row = chunk * Policy::chunk + r; row < end; row += Policy::row_threads)
      total += static_cast<double>(p.x.row(row)[column]);
  shared.partial[r][c] = total;
  block_sync();
  if (r != 0 || column >= p.columns) return;
  double sum = 0.0;
  for (int k = 0; k < Policy::row_threads; ++k) sum += shared.partial[k][c];
  p.partial[chunk * p.columns + column] = sum;
}

template <class Policy>
static __global__ void __launch_bounds__(Policy::finish_threads)
    finish_column_sums(const ColumnSumsParams p) {
  const std::int64_t column = std::int64_t{blockIdx.x} * Policy::finish_threads + threadIdx.x;
  if (column >= p.columns) return;
  const std::int64_t chunks = ceil_div(p.rows, Policy::chunk);
  double sum = 0.0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += p.partial[chunk * p.columns + column];
  p.sums[column] = static_cast<float>(static_cast<double>(p.sums[column]) + sum);
}

/// Queues two kernels.
template <class Policy = ColumnSumsPolicy>
void launch_column_sums(const ColumnSumsParams& params, CudaStream stream) {
  if (params.rows == 0 || params.columns == 0) return;
  const std::int64_t tiles = ceil_div(params.columns, Policy::columns),
                     chunks = ceil_div(params.rows, Policy::chunk);
  launch(partial_column_sums<Policy>,
         {.grid = {blocks(tiles * chunks)},
          .block = {Policy::columns, Policy::row_threads},
          .shared_bytes = sizeof(ColumnSumsStorage<Policy>),
          .stream = stream,
          .name = "column_sums"},
         params);
  launch(finish_column_sums<Policy>,
         {.grid = {blocks(params.columns, Policy::finish_threads)},
          .block = {Policy::finish_threads},
          .stream = stream,
          .name = "column_sums"},
         params);
}

}  // namespace stofm::kernels
