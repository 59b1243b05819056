// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// D = A B^T (or A B) whose result goes through `Store` instead of memory: what a library's epilogue can not
/// do, two parts of bfloat16 or a product with another row, ends the product and spares a pass over D.
///   bf16   a b;  split_bf16   a_low b_high + a_high b_low + a_high b_high
/// Block: 64 rows x 64 columns, 4 warps of 32 x 32; steps of 32 terms stream through three buffers (cp.async,
/// one barrier a step); the sums go through shared memory, from where a thread takes four columns of every
/// eighth row. Shared memory: RowProductShared (31 KB, 61 KB split). Sums: float32, terms in ascending order,
/// so a row has the same bits in every batch. *Deterministic*. Limiter: tensor cores through mma.sync.
///
/// `Store`: a plain struct with
///   Quad operator()(row, column, sums, valid): writes columns [column, column + 4); called by whole warps,
///     `valid` says whether there are such; a half warp has one row. What it returns is added over rows if
///   static constexpr bool sums: partial[row tile, columns] gets it, rows in a fixed order.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/mma.cuh"
#include "stofm/kernels/encoder_block/operand_store.cuh"
#include "stofm/kernels/row_product/policy.hpp"

namespace stofm::kernels {

template <class Store>
struct RowProductParams {
  const bfloat16* a = nullptr;  // [rows, depth], rows `stride_a` apart, low parts `low_a` further on
  const bfloat16* b = nullptr;  // [columns, depth]; turned: [depth, columns]
  std::int64_t stride_a = 0, low_a = 0, stride_b = 0, low_b = 0;
  std::int64_t rows = 0, columns = 0, depth = 0;
  float* partial = nullptr;  // [row tiles, columns], with Store::sums
  Store store;
};

/// Three buffers of the bits of bfloat16, and the result in their place.
template <int Parts, bool Turned, class Policy>
union RowProductShared {
  struct Step {
    std::uint16_t a[Parts][Policy::rows * Policy::stride];
    std::uint16_t b[Parts][Turned ? Policy::depth * Policy::turned_stride : Policy::columns * Policy::stride];
  } steps[Policy::stages];
  float tile[Policy::rows * Policy::tile_stride];
};

/// Starts the copy of [Rows, Columns] numbers at (row, column) of a matrix of `rows` x `columns`, zeros past
/// its ends, by 128 threads.
template <int Parts, int Rows, int Columns, int Stride>
__device__ __forceinline__ void load_step(std::uint16_t (&to)[Parts][Rows * Stride], const bfloat16* from,
                                          std::int64_t stride, std::int64_t low, std::int64_t row,
                                          std::int64_t column, std::int64_t rows, std::int64_t columns) {
  constexpr int copies = Columns / 8, rows_at_once = RowProductPolicy::threads / copies;
  static_assert(Rows % rows_at_once == 0);
  const int r = static_cast<int>(threadIdx.x) / copies, c = static_cast<int>(threadIdx.x) % copies * 8;
  const bfloat16* const at = from + (row + r) * stride + column + c;
  STOFM_UNROLL
  for (int i = 0; i < Rows; i += rows_at_once) {
    const bool valid = row + r + i < rows && column + c < columns;
    STOFM_UNROLL
    for (int part = 0; part < Parts; ++part)
      copy_async_16(to[part] + (r + i) * Stride + c, valid ? at + i * stride + part * low : from, valid);
  }
}

template <int Parts, bool Turned, class Store, class Policy>
static __global__ void __launch_bounds__(Policy::threads)
    row_product_kernel(const RowProductParams<Store> p) {
  using Shared = RowProductShared<Parts, Turned, Policy>;
  static_assert(Policy::threads == 128 && Policy::rows == 64 && Policy::columns == 64,
                "four warps of 32 x 32");
  auto& shared = shared_memory<Shared>();
  const auto column_tiles = static_cast<unsigned>(ceil_div(p.columns, Policy::columns));
  const std::int64_t row_tile = blockIdx.x / column_tiles, first_row = row_tile * Policy::rows,
                     first_column = std::int64_t{blockIdx.x % column_tiles} * Policy::columns;
  const int warp_row = warp() / 2 * 32, warp_column = warp() % 2 * 32;
  const int steps = static_cast<int>(ceil_div(p.depth, Policy::depth));

  // ---- copies run two steps ahead
  const auto start = [&](int step) {
    if (step < steps) {
      auto& to = shared.steps[step % Policy::stages];
      const std::int64_t term = std::int64_t{step} * Policy::depth;
      load_step<Parts, Policy::rows, Policy::depth, Policy::stride>(to.a, p.a, p.stride_a, p.low_a, first_row,
                                                                    term, p.rows, p.depth);
      if constexpr (Turned)
        load_step<Parts, Policy::depth, Policy::columns, Policy::turned_stride>(
            to.b, p.b, p.stride_b, p.low_b, term, first_column, p.depth, p.columns);
      else
        load_step<Parts, Policy::columns, Policy::depth, Policy::stride>(
            to.b, p.b, p.stride_b, p.low_b, first_column, term, p.columns, p.depth);
    }
    copy_async_commit();  // empty ones keep the count
  };
  for (int step = 0; step + 1 < Policy::stages; ++step) start(step);

  float sums[2][4][4] = {};  // [32, 32] of the warp
  for (int step = 0; step < steps; ++step) {
    copy_async_wait<Policy::stages - 2>();
    block_sync();  // the step is there, and the buffer of the one before is free
    start(step + Policy::stages - 1);
    const auto& from = shared.steps[step % Policy::stages];
    STOFM_UNROLL
    for (int k = 0; k < Policy::depth; k += 16) {
      std::uint32_t a[Parts][2][4], b[Parts][2][4];
      STOFM_UNROLL
      for (int part = 0; part < Parts; ++part) {
        STOFM_UNROLL
        for (int half = 0; half < 2; ++half) {
          ldmatrix_x4(a[part][half], from.a[part] + (warp_row + half * 16 + lane() % 16) * Policy::stride +
                                         lane() / 16 * 8 + k);
          if constexpr (Turned)
            ldmatrix_x4<true>(b[part][half], from.b[part] + (k + lane() % 16) * Policy::turned_stride +
                                                 warp_column + half * 16 + lane() / 16 * 8);
          else
            ldmatrix_x4(b[part][half],
                        from.b[part] +
                            (warp_column + half * 16 + lane() % 8 + lane() / 16 * 8) * Policy::stride +
                            lane() / 8 % 2 * 8 + k);
        }
      }
      STOFM_UNROLL
      for (int m = 0; m < 2; ++m) {
        STOFM_UNROLL
        for (int n = 0; n < 4; ++n) {
          const std::uint32_t high[2] = {b[0][n / 2][n % 2 * 2], b[0][n / 2][n % 2 * 2 + 1]};
          if constexpr (Parts == 2) {
            const std::uint32_t low[2] = {b[1][n / 2][n % 2 * 2], b[1][n / 2][n % 2 * 2 + 1]};
            mma_split_bfloat16(sums[m][n], a[0][m], a[1][m], high, low);
          } else {
            mma_bfloat16(sums[m][n], a[0][m], high);
          }
        }
      }
    }
  }
  copy_async_wait<0>();
  block_sync();  // every warp is done with the buffers

  // ---- through shared memory to rows
  STOFM_UNROLL
  for (int m = 0; m < 2; ++m) {
    STOFM_UNROLL
    for (int n = 0; n < 4; ++n) {
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i)
        shared.tile[(warp_row + m * 16 + accumulator_row(i)) * Policy::tile_stride + warp_column + n * 8 +
                    accumulator_column(i)] = sums[m][n][i];
    }
  }
  block_sync();
  constexpr int quads = Policy::columns / 4, rows_at_once = Policy::threads / quads;
  const int own_row = static_cast<int>(threadIdx.x) / quads,
            own_column = static_cast<int>(threadIdx.x) % quads * 4;
  const std::int64_t column = first_column + own_column;
  Quad total = {};
  STOFM_UNROLL
  for (int i = 0; i < Policy::rows; i += rows_at_once) {
    const std::int64_t row = first_row + own_row + i;
    const bool valid = row < p.rows && column < p.columns;
    const Quad q = p.store(row, column,
                           load_quad(shared.tile + (own_row + i) * Policy::tile_stride + own_column), valid);
    if constexpr (Store::sums)
      if (valid) {
        STOFM_UNROLL
        for (int e = 0; e < 4; ++e) total.v[e] += q.v[e];
      }
  }
  if constexpr (Store::sums) {
    block_sync();  // the tile was read
    store_quad(shared.tile + own_row * Policy::tile_stride + own_column, total);
    block_sync();
    const std::int64_t mine = first_column + threadIdx.x;
    if (threadIdx.x >= Policy::columns || mine >= p.columns) return;
    float sum = 0.0F;
    STOFM_UNROLL
    for (int r = 0; r < rows_at_once; ++r)
      sum += shared.tile[r * Policy::tile_stride + static_cast<int>(threadIdx.x)];
    p.partial[row_tile * p.columns + mine] = sum;
  }
}

/// D = A B^T, or A B where B is `Turned`, into `store`; both operands dense, in bfloat16 or in parts, of
/// widths that row_product_takes(). \param partial [row tiles, columns] with Store::sums
template <bool Turned, class Policy = RowProductPolicy, class Store>
void launch_row_product(CudaStream stream, const Operand& a, const Operand& b, const Store& store,
                        float* partial, const char* name) {
  const RowProductParams<Store> params{static_cast<const bfloat16*>(a.data),
                                       static_cast<const bfloat16*>(b.data),
                                       a.stride,
                                       low_part_offset(a),
                                       b.stride,
                                       low_part_offset(b),
                                       a.rows,
                                       Turned ? b.columns : b.rows,
                                       a.columns,
                                       partial,
                                       store};
  const auto run = [&]<int Parts>() {
    launch(row_product_kernel<Parts, Turned, Store, Policy>,
           {.grid = {blocks(Policy::row_tiles(params.rows) * Policy::column_tiles(params.columns))},
            .block = {Policy::threads},
            .shared_bytes = sizeof(RowProductShared<Parts, Turned, Policy>),
            .stream = stream,
            .name = name},
           params);
  };
  if constexpr (Store::parts == 2)
    run.template operator()<2>();
  else
    run.template operator()<1>();
}

}  // namespace stofm::kernels
