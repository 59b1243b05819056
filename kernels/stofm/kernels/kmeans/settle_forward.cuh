// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Settles the rows that assign_margin() could not: squared distances as the CPU adds them, ties to the
/// lowest. A warp walks over 32 rows. Two candidates: squares 32 columns at a time into shared memory, lanes
/// 0 and 1 add them up in order. All: each lane has a centre of 32 neighbours in the transposed centres and
/// walks down the columns of the row. Shared memory: 4 x 2 x 33 floats. Limiter: latency; few rows are marked
/// unless centres coincide or the points lie far from the origin compared with their spread.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/kmeans/assign_margin_forward.cuh"
#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels::kmeans {

struct SettleParams {
  const float* rows;           // [n, d]
  const float* centres;        // [k, d]
  const float* transposed;     // [d, k]
  const std::int32_t* second;  // [n]
  const RowState* states;      // [n]
  std::int32_t* labels;        // [n] in: lowest score, out: nearest
  std::int64_t n, d, k;
};
inline constexpr int settle_warps = 4;
struct SettleStorage {
  float squares[settle_warps][2][warp_size + 1];
};

/// Squared distance of lane 0's and lane 1's candidates, in those lanes.
__device__ __forceinline__ float distances_to_two(const SettleParams& p, std::int64_t row, std::int32_t first,
                                                  std::int32_t second, float (&squares)[2][warp_size + 1]) {
  float sum = 0;
  for (std::int64_t column = 0; column < p.d; column += warp_size) {
    const std::int64_t j = column + lane();
    const bool inside = j < p.d;
    const float x = inside ? p.rows[row * p.d + j] : 0.0F;
    squares[0][lane()] = inside ? add_squared_difference(0.0F, x, p.centres[first * p.d + j]) : 0.0F;
    squares[1][lane()] = inside ? add_squared_difference(0.0F, x, p.centres[second * p.d + j]) : 0.0F;
    warp_sync();
    for (int e = 0; lane() < 2 && e < warp_size; ++e) sum = rounded_add(sum, squares[lane()][e]);
    warp_sync();
  }
  return sum;
}

/// Grid: four warps a block, 128 rows.
template <class Storage>
static __global__ void settle_rows(const SettleParams p) {
  auto& squares = shared_memory<Storage>().squares[warp()];
  const std::int64_t begin = (std::int64_t(blockIdx.x) * settle_warps + warp()) * warp_size;
  const std::int64_t mine = begin + lane();
  const RowState state = mine < p.n ? p.states[mine] : RowState::settled;
  std::uint32_t open = ballot(state != RowState::settled);
  const std::uint32_t only_two = ballot(state == RowState::two);
  for (int r = 0; open != 0; ++r, open >>= 1) {
    if ((open & 1U) == 0) continue;
    const std::int64_t row = begin + r;
    if ((only_two >> r & 1U) != 0) {
      const std::int32_t first = p.labels[row], second = p.second[row];
      const float distance = distances_to_two(p, row, first, second, squares);
      const float other = shuffle(distance, 1);
      if (lane() == 0 && (other < distance || (other == distance && second < first))) p.labels[row] = second;
      continue;
    }
    float best = float_of(0x7f800000U);
    std::int32_t where = 0x7fffffff;
    for (std::int64_t centre = lane(); centre < p.k; centre += warp_size) {
      float sum = 0;
      for (std::int64_t j = 0; j < p.d; ++j)
        sum = add_squared_difference(sum, p.rows[row * p.d + j], p.transposed[j * p.k + centre]);
      if (sum < best) {
        best = sum;
        where = static_cast<std::int32_t>(centre);
      }
    }
    for (int offset = 16; offset > 0; offset /= 2) {
      const float other = shuffle_xor(best, offset);
      const std::int32_t centre = shuffle_xor(where, offset);
      if (other < best || (other == best && centre < where)) {
        best = other;
        where = centre;
      }
    }
    if (lane() == 0) p.labels[row] = where;
  }
}

}  // namespace stofm::kernels::kmeans
