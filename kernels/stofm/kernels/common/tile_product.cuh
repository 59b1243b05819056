// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Products of one warp's 16 rows with a tile of 64 rows in shared memory, in every precision with the same
/// accumulator layout (that of mma.sync 16 x 8, common/mma.cuh):
///   add_rows_by_rows:    sums [16, 64]    += own [16, Width] other [64, Width]^T
///   add_weights_by_rows: sums [16, Width] += weights [16, 64] other [64, Width]
/// float32 uses plain FMA from shared memory; bf16 one tensor core product, split_bf16 three.
///
/// A tile is [parts][64][stride] elements: rows are 16 bytes longer than Width, so that the eight rows that
/// ldmatrix (or four lanes with float4) read together lie in different banks for Width 16, 32 and 64.

#include "stofm/backend/cuda/precision.hpp"
#include "stofm/kernels/common/mma.cuh"

namespace stofm::kernels {

/// How a tile of 64 rows of `Width` numbers lies in shared memory.
template <backend::Precision P, int Width>
struct TileLayout {
  static_assert(Width % 16 == 0 && Width <= 128, "whole k-steps of the tensor cores");
  static constexpr bool plain = P == backend::Precision::float32;
  using Element = std::conditional_t<plain, float, bfloat16>;
  static constexpr int parts = P == backend::Precision::split_bf16 ? 2 : 1;
  static constexpr int per_copy = 16 / static_cast<int>(sizeof(Element));  ///< elements of 16 bytes
  static constexpr int stride = Width + per_copy;
  static constexpr int part = 64 * stride;
  static constexpr int elements = parts * part;
  static constexpr int bytes = elements * static_cast<int>(sizeof(Element));
};

/// Floats between the rows of a warp's strip [16, 64] in shared memory: 8 mod 32, so that float2 at the
/// places of an accumulator are free of bank conflicts.
inline constexpr int strip_stride = 72;
inline constexpr int strip_floats = 16 * strip_stride;

/// Accumulators [16, 64] <-> a strip. Other lanes see it after warp_sync().
__device__ __forceinline__ void store_strip(float* strip, const float (&sums)[8][4]) {
  float* at = strip + lane() / 4 * strip_stride + lane() % 4 * 2;
  STOFM_UNROLL
  for (int n = 0; n < 8; ++n) {
    at[n * 8] = sums[n][0];
    at[n * 8 + 1] = sums[n][1];
    at[n * 8 + 8 * strip_stride] = sums[n][2];
    at[n * 8 + 8 * strip_stride + 1] = sums[n][3];
  }
}
__device__ __forceinline__ void add_strip(float (&sums)[8][4], const float* strip) {
  const float* at = strip + lane() / 4 * strip_stride + lane() % 4 * 2;
  STOFM_UNROLL
  for (int n = 0; n < 8; ++n) {
    sums[n][0] += at[n * 8];
    sums[n][1] += at[n * 8 + 1];
    sums[n][2] += at[n * 8 + 8 * strip_stride];
    sums[n][3] += at[n * 8 + 8 * strip_stride + 1];
  }
}
__device__ __forceinline__ void clear_strip(float* strip) {
  STOFM_UNROLL
  for (int i = 0; i < strip_floats / 4 / warp_size; ++i)
    store4(strip + (i * warp_size + lane()) * 4, float4{0, 0, 0, 0});
  static_assert(strip_floats % (4 * warp_size) == 0);
}

/// sums += own other^T. `own`: the first of this warp's 16 rows in a tile; `other`: a tile.
template <backend::Precision P, int Width>
__device__ __forceinline__ void add_rows_by_rows(float (&sums)[8][4],
                                                 const typename TileLayout<P, Width>::Element* own,
                                                 const typename TileLayout<P, Width>::Element* other) {
  using Layout = TileLayout<P, Width>;
  constexpr int stride = Layout::stride;
  if constexpr (Layout::plain) {
    const float* a = own + lane() / 4 * stride;
    const float* b = other + lane() % 4 * 2 * stride;
    STOFM_UNROLL_BY(2)
    for (int k = 0; k < Width; k += 4) {
      const float4 upper = load4(a + k), lower = load4(a + 8 * stride + k);
      STOFM_UNROLL
      for (int n = 0; n < 8; ++n) {
        const float4 left = load4(b + n * 8 * stride + k), right = load4(b + (n * 8 + 1) * stride + k);
        sums[n][0] += upper.x * left.x, sums[n][0] += upper.y * left.y;
        sums[n][0] += upper.z * left.z, sums[n][0] += upper.w * left.w;
        sums[n][1] += upper.x * right.x, sums[n][1] += upper.y * right.y;
        sums[n][1] += upper.z * right.z, sums[n][1] += upper.w * right.w;
        sums[n][2] += lower.x * left.x, sums[n][2] += lower.y * left.y;
        sums[n][2] += lower.z * left.z, sums[n][2] += lower.w * left.w;
        sums[n][3] += lower.x * right.x, sums[n][3] += lower.y * right.y;
        sums[n][3] += lower.z * right.z, sums[n][3] += lower.w * right.w;
      }
    }
  } else {
    const auto* a_at = own + lane() % 16 * stride + lane() / 16 * 8;
    const auto* b_at = other + (lane() % 8 + lane() / 16 * 8) * stride + lane() / 8 % 2 * 8;
    STOFM_UNROLL
    for (int k = 0; k < Width; k += 16) {
      std::uint32_t a[Layout::parts][4];
      STOFM_UNROLL
      for (int p = 0; p < Layout::parts; ++p) ldmatrix_x4(a[p], a_at + p * Layout::part + k);
      STOFM_UNROLL
      for (int n = 0; n < 8; n += 2) {
        std::uint32_t b[Layout::parts][4];
        STOFM_UNROLL
        for (int p = 0; p < Layout::parts; ++p)
          ldmatrix_x4(b[p], b_at + p * Layout::part + n * 8 * stride + k);
        STOFM_UNROLL
        for (int half = 0; half < 2; ++half) {
          const std::uint32_t high[2] = {b[0][2 * half], b[0][2 * half + 1]};
          if constexpr (Layout::parts == 2) {
            const std::uint32_t low[2] = {b[1][2 * half], b[1][2 * half + 1]};
            mma_split_bfloat16(sums[n + half], a[0], a[1], high, low);
          } else {
            mma_bfloat16(sums[n + half], a[0], high);
          }
        }
      }
    }
  }
}

/// sums += weights other. `strip`: this warp's scratch in shared memory, only used by float32 (its contents
/// are lost; free again on return).
template <backend::Precision P, int Width>
__device__ __forceinline__ void add_weights_by_rows(float (&sums)[Width / 8][4], const float (&weights)[8][4],
                                                    const typename TileLayout<P, Width>::Element* other,
                                                    float* strip) {
  using Layout = TileLayout<P, Width>;
  constexpr int stride = Layout::stride;
  if constexpr (Layout::plain) {
    warp_sync();  // whoever still reads the strip
    store_strip(strip, weights);
    warp_sync();
    const float* a = strip + lane() / 4 * strip_stride;
    const float* b = other + lane() % 4 * 2;
    STOFM_UNROLL_BY(4)
    for (int k = 0; k < 64; ++k) {
      const float upper = a[k], lower = a[8 * strip_stride + k];
      STOFM_UNROLL
      for (int n = 0; n < Width / 8; ++n) {
        const float left = b[k * stride + n * 8], right = b[k * stride + n * 8 + 1];
        sums[n][0] += upper * left;
        sums[n][1] += upper * right;
        sums[n][2] += lower * left;
        sums[n][3] += lower * right;
      }
    }
    warp_sync();
  } else {
    const auto* b_at = other + lane() % 16 * stride + lane() / 16 * 8;
    STOFM_UNROLL
    for (int k = 0; k < 4; ++k) {
      std::uint32_t a[Layout::parts][4];
      STOFM_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float x = weights[2 * k + i / 2][i % 2 * 2], y = weights[2 * k + i / 2][i % 2 * 2 + 1];
        if constexpr (Layout::parts == 2) {
          const SplitPair split = split_bfloat16(x, y);
          a[0][i] = split.high;
          a[1][i] = split.low;
        } else {
          a[0][i] = pack_bfloat16(x, y);
        }
      }
      STOFM_UNROLL
      for (int n = 0; n < Width / 8; n += 2) {
        std::uint32_t b[Layout::parts][4];
        STOFM_UNROLL
        for (int p = 0; p < Layout::parts; ++p)
          ldmatrix_x4<true>(b[p], b_at + p * Layout::part + k * 16 * stride + n * 8);
        STOFM_UNROLL
        for (int half = 0; half < 2; ++half) {
          const std::uint32_t high[2] = {b[0][2 * half], b[0][2 * half + 1]};
          if constexpr (Layout::parts == 2) {
            const std::uint32_t low[2] = {b[1][2 * half], b[1][2 * half + 1]};
            mma_split_bfloat16(sums[n + half], a[0], a[1], high, low);
          } else {
            mma_bfloat16(sums[n + half], a[0], high);
          }
        }
      }
    }
  }
}

}  // namespace stofm::kernels
