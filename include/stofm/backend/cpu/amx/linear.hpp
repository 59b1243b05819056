// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The linear layer on AMX tiles. A task owns 32 rows of y: it splits its rows of x once (L1), then walks the
/// packed weights (L2) two column tiles at a time; bias, scale and activation are applied to each 32 x 32
/// block of sums while it is in L1. Limiter: the tile multiplier (12 products of 16 cycles per 32 x 32 x 32
/// block against 10 tile loads).

#include "stofm/backend/cpu/amx/tiles.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/core/parallel.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// Bytes of packed weights [n, k]; the number of column tiles is even.
inline std::int64_t packed_weight_bytes(std::int64_t n, std::int64_t k) {
  return checked_mul(checked_mul((n + 31) / 32 * 2, groups_of(k), "weights"), group_bytes, "weights");
}

inline void pack_weights(std::uint8_t* out, TensorView<const float> w) {
  const std::int64_t n = w.dim(0), k = w.dim(1), tiles = (n + 31) / 32 * 2;
  parallel_for(tiles, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      pack_right_tile_transposed(out + t * groups_of(k) * group_bytes, w.row((std::min)(t * 16, n)),
                                 w.stride(0), std::clamp<std::int64_t>(n - t * 16, 0, 16), k);
  });
}

/// bias, scale, activation on a 32 x 32 block (rows of 32 floats) and out to `rows` x `columns` of y.
STOFM_TARGET_AMX inline void finish_block(float* y, std::int64_t stride, const float* sums, std::int64_t rows,
                                          std::int64_t columns, const float* bias, __m512 scale,
                                          Activation activation) {
  const __mmask16 first = avx512::first_lanes(columns), second = avx512::first_lanes(columns - 16);
  const __m512 b0 = bias != nullptr ? _mm512_maskz_loadu_ps(first, bias) : _mm512_setzero_ps();
  const __m512 b1 = bias != nullptr ? _mm512_maskz_loadu_ps(second, bias + 16) : _mm512_setzero_ps();
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = y + r * stride;
    _mm512_mask_storeu_ps(out, first, avx512::epilogue(_mm512_load_ps(sums + r * 32), b0, scale, activation));
    if (second != 0)
      _mm512_mask_storeu_ps(out + 16, second,
                            avx512::epilogue(_mm512_load_ps(sums + r * 32 + 16), b1, scale, activation));
  }
}

STOFM_TARGET_AMX inline void linear_rows(TensorView<float> y, TensorView<const float> x,
                                         const std::uint8_t* weights, const float* bias,
                                         LinearOptions options, std::int64_t begin, std::int64_t end) {
  const std::int64_t n = y.dim(1), k = x.dim(1), groups = groups_of(k), tile_step = groups * group_bytes;
  auto* left = scratch_bytes<1>(2 * tile_step + 4096);
  auto* sums = reinterpret_cast<float*>(left + 2 * tile_step);
  const __m512 scale = _mm512_set1_ps(static_cast<float>(options.scale));
  pack_left_tile(left, x.row(begin), x.stride(0), (std::min<std::int64_t>)(end - begin, 16), k, 1.0F);
  if (end - begin > 16)
    pack_left_tile(left + tile_step, x.row(begin + 16), x.stride(0), end - begin - 16, k, 1.0F);
  else
    pack_left_tile(left + tile_step, x.row(begin), x.stride(0), 0, k, 1.0F);
  const TileScope tiles;
  for (std::int64_t column = 0; column < n; column += 32) {
    const std::uint8_t* right = weights + column / 16 * tile_step;
    zero_sums();
    for (std::int64_t g = 0; g < groups; ++g)
      multiply_group(left + g * group_bytes, tile_step, tile_bytes, 64, right + g * group_bytes, tile_step,
                     2 * tile_step);
    store_sums(sums, 128);
    finish_block(y.row(begin) + column, y.stride(0), sums, end - begin, n - column,
                 bias != nullptr ? bias + column : nullptr, scale, options.activation);
  }
}

inline void linear(TensorView<float> y, TensorView<const float> x, const std::uint8_t* weights,
                   const float* bias, LinearOptions options) {
  parallel_for(y.dim(0), 32, [&](std::int64_t begin, std::int64_t end) {
    linear_rows(y, x, weights, bias, options, begin, end);
  });
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
