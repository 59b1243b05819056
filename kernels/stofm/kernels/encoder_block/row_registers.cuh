// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A row that a warp holds in registers (encoder_block/policy.hpp): which columns a lane has, dropout of four
/// of them, mean and deviation of the row.

#include "stofm/kernels/common/dropout.cuh"
#include "stofm/kernels/common/warp.cuh"
#include "stofm/kernels/encoder_block/operand_store.cuh"
#include "stofm/kernels/encoder_block/policy.hpp"

namespace stofm::kernels {

/// First of the four columns that this lane holds in register `chunk` of its row.
__device__ __forceinline__ int column_of_chunk(int chunk) {
  return 4 * lane() + encoder_block::RowPolicy::columns_per_chunk * chunk;
}

/// q = q * keep / (1 - p) for elements [at, at + 4); `at` is a multiple of 4, so they share a block of keep
/// bits.
__device__ __forceinline__ void drop_quad(const DropoutParams& dropout, std::int64_t at, Quad& q) {
  const std::uint32_t bits = keep_bits(dropout, static_cast<std::uint64_t>(at / 8)) >> (at % 8);
  STOFM_UNROLL
  for (int i = 0; i < 4; ++i) q.v[i] = ((bits >> i) & 1U) != 0 ? q.v[i] * dropout.factor : 0.0F;
}

/// The same for columns [column, column + 4) of a row of a dense mask.
__device__ __forceinline__ void drop_quad(const DropoutParams& dropout, std::int64_t row, std::int64_t columns,
                                          std::int64_t column, Quad& q) {
  if (dropout.threshold > 0) drop_quad(dropout, row * columns + column, q);
}

__device__ __forceinline__ float quad_sum(const Quad& q) { return (q.v[0] + q.v[1]) + (q.v[2] + q.v[3]); }

/// z = z - mean z for a row of `columns` columns; the mean first, then the squares of what is left, each
/// added over the lanes in the fixed order of warp_sum, in float32. Registers past the end are not touched.
/// \param lane_sum this lane's part of the sum of z
/// \return 1 / sqrt(var z + eps)
template <int Chunks>
__device__ __forceinline__ float centre_row(Quad (&z)[Chunks], float lane_sum, std::int64_t columns,
                                            float eps) {
  const float inverse = 1.0F / static_cast<float>(columns), mean = warp_sum(lane_sum) * inverse;
  float squares = 0.0F;
  STOFM_UNROLL
  for (int c = 0; c < Chunks; ++c) {
    if (column_of_chunk(c) >= columns) continue;
    STOFM_UNROLL
    for (int i = 0; i < 4; ++i) {
      z[c].v[i] -= mean;
      squares += z[c].v[i] * z[c].v[i];
    }
  }
  return 1.0F / sqrtf(warp_sum(squares) * inverse + eps);
}

}  // namespace stofm::kernels
