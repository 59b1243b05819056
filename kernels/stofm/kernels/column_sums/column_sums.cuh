// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums over the rows of matrices, in double and in a fixed order: sums_o[j] += sum_i term(i, j)[o].
/// First kernel: a block of 32 x 8 threads owns 32 columns of 256 rows; thread (c, r) adds rows r, r + 8,
/// ..., then thread (c, 0) the eight partial sums in order. Second: a thread per column adds the chunks of
/// 256 rows in order. Shared memory 2 KiB per output; one barrier. *Deterministic*. *Limiter* bytes: what
/// `term` reads.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/rows.cuh"

namespace stofm::kernels {

struct ColumnSumsPolicy {
  static constexpr int columns = 32, row_threads = 8;
  static constexpr int threads = columns * row_threads;
  static constexpr std::int64_t chunk = 256;  ///< rows of a block
  static constexpr int finish_threads = 128;
  /// Doubles of workspace for `outputs` sums per column.
  static constexpr std::int64_t workspace(std::int64_t rows, std::int64_t columns_, int outputs) {
    return (rows + chunk - 1) / chunk * outputs * columns_;
  }
};

/// The column itself: plain sums. Terms are `void operator()(row, column, double (&out)[outputs]) const`.
struct ColumnTerm {
  static constexpr int outputs = 1;
  Rows<const float> x;
  __device__ __forceinline__ void operator()(std::int64_t row, std::int64_t column, double (&out)[1]) const {
    out[0] = static_cast<double>(x.row(row)[column]);
  }
};

template <class Term>
struct ColumnSumsParams {
  Term term;
  double* partial;             ///< [chunks, outputs, columns] workspace
  float* sums[Term::outputs];  ///< [columns] each, added to; null: left out
  std::int64_t rows, columns;
};

template <class Policy, int Outputs>
struct ColumnSumsStorage {
  double partial[Policy::row_threads][Policy::columns][Outputs];
};

template <class Policy, class Term>
static __global__ void __launch_bounds__(Policy::threads)
    partial_column_sums(const ColumnSumsParams<Term> p) {
  constexpr int outputs = Term::outputs;
  auto& shared = shared_memory<ColumnSumsStorage<Policy, outputs>>();
  const std::int64_t tiles = ceil_div(p.columns, Policy::columns);
  const std::int64_t chunk = std::int64_t{blockIdx.x} / tiles;
  const int c = static_cast<int>(threadIdx.x), r = static_cast<int>(threadIdx.y);
  const std::int64_t column = std::int64_t{blockIdx.x} % tiles * Policy::columns + c;
  const std::int64_t end = minimum<std::int64_t>(p.rows, (chunk + 1) * Policy::chunk);
  double total[outputs] = {};
  if (column < p.columns) {
    for (std::int64_t row = chunk * Policy::chunk + r; row < end; row += Policy::row_threads) {
      double term[outputs];
      p.term(row, column, term);
      for (int o = 0; o < outputs; ++o) total[o] += term[o];
    }
  }
  for (int o = 0; o < outputs; ++o) shared.partial[r][c][o] = total[o];
  block_sync();
  if (r != 0 || column >= p.columns) return;
  for (int o = 0; o < outputs; ++o) {
    double sum = 0.0;
    for (int k = 0; k < Policy::row_threads; ++k) sum += shared.partial[k][c][o];
    p.partial[(chunk * outputs + o) * p.columns + column] = sum;
  }
}

template <class Policy, class Term>
static __global__ void __launch_bounds__(Policy::finish_threads)
    finish_column_sums(const ColumnSumsParams<Term> p) {
  const std::int64_t column = std::int64_t{blockIdx.x} * Policy::finish_threads + threadIdx.x;
  if (column >= p.columns) return;
  const std::int64_t chunks = ceil_div(p.rows, Policy::chunk);
  for (int o = 0; o < Term::outputs; ++o) {
    if (p.sums[o] == nullptr) continue;
    double sum = 0.0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
      sum += p.partial[(chunk * Term::outputs + o) * p.columns + column];
    p.sums[o][column] = static_cast<float>(static_cast<double>(p.sums[o][column]) + sum);
  }
}

/// Queues two kernels.
template <class Term, class Policy = ColumnSumsPolicy>
void launch_column_sums(const ColumnSumsParams<Term>& params, CudaStream stream, const char* name) {
  if (params.rows == 0 || params.columns == 0) return;
  const std::int64_t tiles = ceil_div(params.columns, Policy::columns),
                     chunks = ceil_div(params.rows, Policy::chunk);
  launch(partial_column_sums<Policy, Term>,
         {.grid = {blocks(tiles * chunks)},
          .block = {Policy::columns, Policy::row_threads},
          .shared_bytes = sizeof(ColumnSumsStorage<Policy, Term::outputs>),
          .stream = stream,
          .name = name},
         params);
  launch(finish_column_sums<Policy, Term>,
         {.grid = {blocks(params.columns, Policy::finish_threads)},
          .block = {Policy::finish_threads},
          .stream = stream,
          .name = name},
         params);
}

}  // namespace stofm::kernels
