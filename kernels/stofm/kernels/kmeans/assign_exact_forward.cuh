// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Nearest centre by squared distances with the bits of the CPU code (cluster/nearest_centre.hpp):
///   F(i, k) = sum over j ascending of (x_ij - c_kj)^2, every operation rounded to float;
///   label_i = the lowest k with the least F(i, k).
/// A block has 64 rows and walks over the centres 64 at a time, 16 columns (4 for points of the plane) of
/// both in shared memory; a thread has 4 x 4 sums, each of which sees the columns in ascending order. Sixteen
/// neighbouring lanes share four rows; at the end they compare by (distance, centre). Shared memory: 2 x 16 x
/// 68 floats = 8.5 KiB (2.1). Barriers: two per 16 columns. Limiter: float units (3 operations per product,
/// none fused: that is the price of the CPU's bits), 2 loads of 16 bytes per 48 of them.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/copy.cuh"
#include "stofm/kernels/kmeans/policy.hpp"
#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels::kmeans {

struct AssignParams {
  const float* rows;         // [n, d]
  const float* centres;      // [k, d]
  std::int32_t* labels;      // [n]
  float* squared_distances;  // [n] or null
  std::int64_t n, d, k;
};

template <class Policy>
struct ExactScanStorage {
  float rows[Policy::columns][Policy::pitch];
  float centres[Policy::columns][Policy::pitch];
};

/// Fills tile[j][r] with values[first_row + r][first_column + j], zero outside: a zero column adds exactly 0.
template <class Policy>
__device__ __forceinline__ void load_transposed(float (&tile)[Policy::columns][Policy::pitch],
                                                const float* values, std::int64_t first_row,
                                                std::int64_t row_count, std::int64_t first_column,
                                                std::int64_t columns) {
  for (int e = static_cast<int>(threadIdx.x); e < Policy::rows * Policy::columns; e += Policy::threads) {
    const int r = e / Policy::columns, j = e % Policy::columns;
    const std::int64_t row = first_row + r, column = first_column + j;
    tile[j][r] = row < row_count && column < columns ? values[row * columns + column] : 0.0F;
  }
}

/// Grid: a block of 256 threads per 64 rows.
template <class Policy>
static __global__ void assign_exact(const AssignParams p) {
  static_assert(Policy::rows == Policy::centres, "one loader for both tiles");
  static_assert(Policy::rows_per_thread == 4 && Policy::centres_per_thread == 4, "loads of four floats");
  auto& shared = shared_memory<ExactScanStorage<Policy>>();
  const std::int64_t first_row = std::int64_t(blockIdx.x) * Policy::rows;
  const int across = static_cast<int>(threadIdx.x) % 16;  // four centres
  const int down = static_cast<int>(threadIdx.x) / 16;    // four rows
  float best[4];
  std::int32_t where[4];
  for (int a = 0; a < 4; ++a) {
    best[a] = float_of(0x7f800000U);
    where[a] = 0;
  }
  for (std::int64_t first_centre = 0; first_centre < p.k; first_centre += Policy::centres) {
    float sum[4][4] = {};  // [row][centre]
    for (std::int64_t column = 0; column < p.d; column += Policy::columns) {
      block_sync();  // the tiles are free
      load_transposed<Policy>(shared.rows, p.rows, first_row, p.n, column, p.d);
      load_transposed<Policy>(shared.centres, p.centres, first_centre, p.k, column, p.d);
      block_sync();
#pragma unroll
      for (int j = 0; j < Policy::columns; ++j) {
        const float4 x4 = load4(&shared.rows[j][down * 4]), c4 = load4(&shared.centres[j][across * 4]);
        const float x[4] = {x4.x, x4.y, x4.z, x4.w}, c[4] = {c4.x, c4.y, c4.z, c4.w};
#pragma unroll
        for (int a = 0; a < 4; ++a)
#pragma unroll
          for (int b = 0; b < 4; ++b) sum[a][b] = add_squared_difference(sum[a][b], x[a], c[b]);
      }
    }
#pragma unroll
    for (int b = 0; b < 4; ++b) {
      const std::int64_t centre = first_centre + across * 4 + b;
#pragma unroll
      for (int a = 0; a < 4; ++a)
        if (centre < p.k && sum[a][b] < best[a]) {
          best[a] = sum[a][b];
          where[a] = static_cast<std::int32_t>(centre);
        }
    }
  }
#pragma unroll
  for (int a = 0; a < 4; ++a) {
#pragma unroll
    for (int offset = 8; offset > 0; offset /= 2) {
      const float other = shuffle_xor(best[a], offset);
      const std::int32_t centre = shuffle_xor(where[a], offset);
      if (other < best[a] || (other == best[a] && centre < where[a])) {
        best[a] = other;
        where[a] = centre;
      }
    }
    const std::int64_t row = first_row + down * 4 + a;
    if (across == 0 && row < p.n) {
      p.labels[row] = where[a];
      if (p.squared_distances != nullptr) p.squared_distances[row] = best[a];
    }
  }
}

/// Squared distances of rows to their own centres: a warp has 32 rows; squares are made 32 columns of one row
/// at a time (loads in a row), put into shared memory, and each lane adds up those of its row in order. Grid:
/// four warps a block, 128 rows. Shared: 4 x 32 x 33 floats = 16.5 KiB. Limiter: bytes, 4 n d.
struct OwnDistanceParams {
  const float* rows;           // [n, d]
  const float* centres;        // [k, d]
  const std::int32_t* labels;  // [n]
  float* squared_distances;    // [n]
  std::int64_t n, d;
};
inline constexpr int own_distance_warps = 4;
struct OwnDistanceStorage {
  float squares[own_distance_warps][warp_size][warp_size + 1];
};

template <class Storage>
static __global__ void own_distances(const OwnDistanceParams p) {
  auto& squares = shared_memory<Storage>().squares[warp()];
  const std::int64_t first = (std::int64_t(blockIdx.x) * own_distance_warps + warp()) * warp_size;
  if (first >= p.n) return;  // the whole warp; there is no barrier of the block
  const std::int64_t mine = first + lane();
  const std::int32_t label = p.labels[minimum(mine, p.n - 1)];
  float sum = 0;
  for (std::int64_t column = 0; column < p.d; column += warp_size) {
    const std::int64_t j = column + lane();
    for (int r = 0; r < warp_size; ++r) {
      const std::int64_t row = minimum(first + r, p.n - 1), centre = shuffle(label, r);
      squares[r][lane()] =
          j < p.d ? add_squared_difference(0.0F, p.rows[row * p.d + j], p.centres[centre * p.d + j]) : 0.0F;
    }
    warp_sync();
    for (int e = 0; e < warp_size; ++e) sum = rounded_add(sum, squares[lane()][e]);
    warp_sync();
  }
  if (mine < p.n) p.squared_distances[mine] = sum;
}

}  // namespace stofm::kernels::kmeans
