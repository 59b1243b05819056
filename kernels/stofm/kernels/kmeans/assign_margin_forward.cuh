// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Nearest centre on tensor cores, with a proof: scores s_ik = |c_k|^2 - 2 x_i . c_k (the squared distance
/// less |x_i|^2) from three bfloat16 products, the three lowest kept for each row. With E the bound on the
/// error of a score and g that of the CPU's float sums (policy.hpp), the lowest score is the CPU's choice if
/// the second is above it by more than
///     T = 2 E + 2 g (|x|^2 + s + E).
/// Rows where it is not are marked: 2 if only two centres are that near, else all; settle_forward.cuh
/// computes the CPU's own sums for these. So labels have the CPU's bits although the scores do not.
///
/// A block has Rows rows, split once into high and low parts in shared memory (all columns), and streams the
/// centres, split beforehand, past them: 128 centres by 32 columns a stage, two stages under way (cp.async).
/// Eight warps, each 32 rows by Columns centres; sums in float32 fragments. Shared memory:
/// MarginTilePolicy::shared_bytes (153 KiB at 128 rows of 256 columns on sm_90). Barriers: two a stage.
/// Limiter: tensor cores, 6 n k d operations.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/mma.cuh"
#include "stofm/kernels/kmeans/policy.hpp"

namespace stofm::kernels::kmeans {

/// Centres in the form the tile wants. One block of 128 threads per centre, padded ones included.
struct PrepareCentresParams {
  const float* centres;  // [k, d]
  bfloat16* high;        // [padded k, padded d], zero outside
  bfloat16* low;         // [padded k, padded d]
  float* squared_norms;  // [padded k], infinity outside
  float* transposed;     // [d, k]
  std::int64_t k, d, padded_d;
};
inline constexpr int prepare_threads = 128;
struct PrepareStorage {
  double warp_sums[prepare_threads / warp_size];
};

template <class Storage>
static __global__ void prepare_centres(const PrepareCentresParams p) {
  auto& shared = shared_memory<Storage>();
  const std::int64_t centre = blockIdx.x;
  double sum = 0;
  for (std::int64_t j = threadIdx.x; j < p.padded_d; j += prepare_threads) {
    const float x = centre < p.k && j < p.d ? p.centres[centre * p.d + j] : 0.0F;
    const bfloat16 high = to_bfloat16(x);
    p.high[centre * p.padded_d + j] = high;
    p.low[centre * p.padded_d + j] = to_bfloat16(x - to_float(high));
    if (centre < p.k && j < p.d) p.transposed[j * p.k + centre] = x;
    sum += static_cast<double>(x) * static_cast<double>(x);
  }
  sum = block_sum(sum, shared.warp_sums);
  if (threadIdx.x == 0)
    p.squared_norms[centre] = centre < p.k ? static_cast<float>(sum) : float_of(0x7f800000U);
}

/// The three lowest scores of a row so far, ties in the order they came.
struct LowestThree {
  float score[3];
  std::int32_t centre[2];
  __device__ __forceinline__ void clear() {
    for (float& s : score) s = float_of(0x7f800000U);
    centre[0] = centre[1] = 0;
  }
  __device__ __forceinline__ void add(float s, std::int32_t c) {
    if (!(s < score[2])) return;  // the usual case
    if (s < score[0]) {
      score[2] = score[1];
      score[1] = score[0];
      centre[1] = centre[0];
      score[0] = s;
      centre[0] = c;
    } else if (s < score[1]) {
      score[2] = score[1];
      score[1] = s;
      centre[1] = c;
    } else {
      score[2] = s;
    }
  }
  /// Adds what another thread or warp found.
  __device__ __forceinline__ void merge(const LowestThree& other) {
    add(other.score[0], other.centre[0]);
    add(other.score[1], other.centre[1]);
    if (other.score[2] < score[2]) score[2] = other.score[2];
  }
};

enum class RowState : std::uint8_t { settled = 0, two = 2, all = 3 };

struct MarginTileParams {
  const float* rows;           // [n, d]
  const bfloat16* high;        // [padded k, padded d]
  const bfloat16* low;         // [padded k, padded d]
  const float* squared_norms;  // [padded k]
  std::int32_t* labels;        // [n] lowest score
  std::int32_t* second;        // [n] second lowest
  RowState* states;            // [n]
  std::int64_t n, d, k, padded_d, padded_k;
  MarginBounds bounds;
};

/// Parts of the shared memory, in bytes from its start; as MarginTilePolicy::shared_bytes counts.
template <class Policy, int Rows>
struct MarginTileLayout {
  static constexpr int warp_columns = Policy::warp_columns(Rows);
  static constexpr int warp_rows = 8 / warp_columns;
  static constexpr int centres_per_warp = Policy::centres / warp_columns;
  static constexpr int stage_elements = Policy::centres * Policy::centre_pitch;
  int row_pitch;  ///< bfloat16
  __device__ __forceinline__ explicit MarginTileLayout(std::int64_t padded_d)
      : row_pitch(static_cast<int>(padded_d) + Policy::padding) {}
  __device__ __forceinline__ bfloat16* rows_high() const {
    return reinterpret_cast<bfloat16*>(shared_bytes());
  }
  __device__ __forceinline__ bfloat16* rows_low() const { return rows_high() + Rows * row_pitch; }
  __device__ __forceinline__ bfloat16* stage(int s) const {
    return rows_low() + Rows * row_pitch + s * 2 * stage_elements;
  }
  __device__ __forceinline__ float* row_norms() const {
    return reinterpret_cast<float*>(stage(Policy::stages));
  }
  __device__ __forceinline__ LowestThree* lists() const {
    return reinterpret_cast<LowestThree*>(row_norms() + Rows);
  }
  /// Largest |c|^2 seen by each warp column of a row, behind the lists.
  __device__ __forceinline__ float* centre_norms() const {
    return reinterpret_cast<float*>(lists() + Rows * warp_columns);
  }
};

/// One stage of centres: `columns` columns from `column` of centres `centre` onwards, both parts.
template <class Policy>
__device__ __forceinline__ void load_stage(bfloat16* to, const MarginTileParams& p, std::int64_t centre,
                                           std::int64_t column) {
  constexpr int pieces = Policy::columns / 8;  // 16 bytes each
  constexpr int part = Policy::centres * Policy::centre_pitch;
  for (int e = static_cast<int>(threadIdx.x); e < Policy::centres * pieces; e += Policy::threads) {
    const int c = e / pieces, at = e % pieces * 8;
    const std::int64_t from = (centre + c) * p.padded_d + column + at;
    copy_async_16(to + c * Policy::centre_pitch + at, p.high + from);
    copy_async_16(to + part + c * Policy::centre_pitch + at, p.low + from);
  }
}

/// Grid: a block of 256 threads per Rows rows.
template <class Policy, int Rows>
static __global__ void __launch_bounds__(Policy::threads) assign_margin(const MarginTileParams p) {
  using Layout = MarginTileLayout<Policy, Rows>;
  static_assert(Rows % 32 == 0 && Layout::centres_per_warp % 16 == 0,
                "fragments of 16 rows and 8 centres, in pairs");
  constexpr int blocks_n = Layout::centres_per_warp / 8;  // fragments of 8 centres
  const Layout layout(p.padded_d);
  const std::int64_t first_row = std::int64_t(blockIdx.x) * Rows;
  const int warp_row = warp() / Layout::warp_columns * 32;
  const int warp_centre = warp() % Layout::warp_columns * Layout::centres_per_warp;

  // ---- rows: split once, with their squared norms ----
  for (int r = warp(); r < Rows; r += Policy::threads / warp_size) {
    const std::int64_t row = first_row + r;
    float norm = 0;
    for (int j = lane(); j < p.padded_d; j += warp_size) {
      const float x = row < p.n && j < p.d ? p.rows[row * p.d + j] : 0.0F;
      const bfloat16 high = to_bfloat16(x);
      layout.rows_high()[r * layout.row_pitch + j] = high;
      layout.rows_low()[r * layout.row_pitch + j] = to_bfloat16(x - to_float(high));
      norm += x * x;
    }
    norm = warp_sum(norm);
    if (lane() == 0) layout.row_norms()[r] = norm;
  }

  // ---- centres: 128 at a time, stage after stage ----
  LowestThree found[4];  // rows g, g + 8, g + 16, g + 24 of this warp's 32
  for (LowestThree& f : found) f.clear();
  float largest_norm = 0;  // of the centres this thread sees
  const std::int64_t column_steps = p.padded_d / Policy::columns;
  const std::int64_t steps = p.padded_k / Policy::centres * column_steps;
  float sums[2][blocks_n][4];
  load_stage<Policy>(layout.stage(0), p, 0, 0);
  copy_async_commit();
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t centre = step / column_steps * Policy::centres,
                       column = step % column_steps * Policy::columns;
    if (step + 1 < steps)
      load_stage<Policy>(layout.stage(static_cast<int>((step + 1) % Policy::stages)), p,
                         (step + 1) / column_steps * Policy::centres,
                         (step + 1) % column_steps * Policy::columns);
    copy_async_commit();
    copy_async_wait<1>();
    block_sync();  // this stage (and, the first time, the rows) is there for everybody
    if (column == 0)
      for (auto& row_block : sums)
        for (auto& fragment : row_block)
          for (float& s : fragment) s = 0.0F;
    const bfloat16* high = layout.stage(static_cast<int>(step % Policy::stages));
    const bfloat16* low = high + Layout::stage_elements;
#pragma unroll
    for (int kk = 0; kk < Policy::columns; kk += 16) {
      std::uint32_t a_high[2][4], a_low[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {  // matrices: rows 0-7 and 8-15, then the same 8 columns further
        const int at = (warp_row + m * 16 + lane() % 16) * layout.row_pitch + static_cast<int>(column) + kk +
                       lane() / 16 * 8;
        ldmatrix_x4(a_high[m], layout.rows_high() + at);
        ldmatrix_x4(a_low[m], layout.rows_low() + at);
      }
#pragma unroll
      for (int pair = 0; pair < blocks_n / 2; ++pair) {  // 16 centres
        std::uint32_t b_high[4], b_low[4];
        // matrices: centres 0-7 columns 0-7 and 8-15, then centres 8-15
        const int at = (warp_centre + pair * 16 + lane() / 16 * 8 + lane() % 8) * Policy::centre_pitch + kk +
                       lane() / 8 % 2 * 8;
        ldmatrix_x4(b_high, high + at);
        ldmatrix_x4(b_low, low + at);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const std::uint32_t bh[2] = {b_high[half * 2], b_high[half * 2 + 1]};
          const std::uint32_t bl[2] = {b_low[half * 2], b_low[half * 2 + 1]};
#pragma unroll
          for (int m = 0; m < 2; ++m)
            mma_split_bfloat16(sums[m][pair * 2 + half], a_high[m], a_low[m], bh, bl);
        }
      }
    }
    if (column + Policy::columns == p.padded_d) {
      // ---- scores of 128 centres are complete ----
#pragma unroll
      for (int b = 0; b < blocks_n; ++b)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const auto c = static_cast<std::int32_t>(centre) + warp_centre + b * 8 + accumulator_column(i);
          const float norm = p.squared_norms[c];  // infinity for padding
          if (c < p.k) largest_norm = maximum(largest_norm, norm);
#pragma unroll
          for (int m = 0; m < 2; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half)
              found[m * 2 + half].add(norm - 2.0F * sums[m][b][half * 2 + i], c);
        }
    }
    block_sync();  // everybody is done with this stage
  }
  copy_async_wait<0>();

  // ---- the four lanes, then the warps, that share a row ----
#pragma unroll
  for (int offset = 1; offset < 4; offset *= 2) {
    largest_norm = maximum(largest_norm, shuffle_xor(largest_norm, offset));
#pragma unroll
    for (LowestThree& f : found) {
      LowestThree other;
      for (int i = 0; i < 3; ++i) other.score[i] = shuffle_xor(f.score[i], offset);
      for (int i = 0; i < 2; ++i) other.centre[i] = shuffle_xor(f.centre[i], offset);
      f.merge(other);
    }
  }
  if (lane() % 4 == 0)
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int at = (warp_row + r * 8 + lane() / 4) * Layout::warp_columns + warp() % Layout::warp_columns;
      layout.lists()[at] = found[r];
      layout.centre_norms()[at] = largest_norm;
    }
  block_sync();
  const int r = static_cast<int>(threadIdx.x);
  const std::int64_t row = first_row + r;
  if (r >= Rows || row >= p.n) return;
  LowestThree lowest = layout.lists()[r * Layout::warp_columns];
  float norm = layout.centre_norms()[r * Layout::warp_columns];
  for (int w = 1; w < Layout::warp_columns; ++w) {
    lowest.merge(layout.lists()[r * Layout::warp_columns + w]);
    norm = maximum(norm, layout.centre_norms()[r * Layout::warp_columns + w]);
  }

  // ---- is the lowest the CPU's choice for certain? ----
  const float row_norm = layout.row_norms()[r];
  const float product = sqrtf(row_norm) * sqrtf(norm) * 1.001F;  // at least |x| |c|
  const float score_error = p.bounds.scores * product + (norm + 2.0F * product) * 0x1p-22F;
  const float nearest = maximum(row_norm + lowest.score[0] + score_error, 0.0F);
  const float margin = 1.05F * (2.0F * score_error + 2.1F * p.bounds.distances * nearest) + 1e-30F;
  p.labels[row] = lowest.centre[0];
  p.second[row] = lowest.centre[1];
  const bool one = lowest.score[1] - lowest.score[0] > margin;
  const bool two = lowest.score[2] - lowest.score[0] > margin;
  p.states[row] = one ? RowState::settled : two ? RowState::two : RowState::all;
}

}  // namespace stofm::kernels::kmeans
