// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Products of the gradient of a linear layer on AMX tiles (see amx/tiles.hpp and amx/linear.hpp): right
/// operands packed as they are stored, left operands transposed while they are packed.

#include "stofm/backend/cpu/amx/linear.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::amx {

/// b [K, N] in the order of `pack_weights` for w = b^T.
inline void pack_weights_as_stored(std::uint8_t* out, TensorView<const float> b) {
  const std::int64_t k = b.dim(0), n = b.dim(1), tiles = (n + 31) / 32 * 2;
  parallel_for(tiles, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      pack_right_tile(out + t * groups_of(k) * group_bytes, b.data + (std::min)(t * 16, n), b.stride(0), k,
                      n - t * 16);
  });
}

/// Left operand whose rows are `columns` <= 16 columns of x, summed over its `k` rows; missing ones are
/// zeros.
STOFM_TARGET_AMX inline void pack_left_tile_transposed(std::uint8_t* out, const float* x, std::int64_t stride,
                                                       std::int64_t columns, std::int64_t k) {
  const __mmask16 lanes = avx512::first_lanes(columns);
  for (std::int64_t g = 0; g * 32 < k; ++g) {
    __m512i hi[16], mid[16], lo[16];
    for (std::int64_t r = 0; r < 16; ++r) {
      const std::int64_t first = g * 32 + r, second = first + 16;
      split_any(first < k ? _mm512_maskz_loadu_ps(lanes, x + first * stride) : _mm512_setzero_ps(),
                second < k ? _mm512_maskz_loadu_ps(lanes, x + second * stride) : _mm512_setzero_ps(), hi[r],
                mid[r], lo[r]);
    }
    avx512::transpose_16x16(hi);
    avx512::transpose_16x16(mid);
    avx512::transpose_16x16(lo);
    std::uint8_t* tile = out + g * group_bytes;
    for (int r = 0; r < 16; ++r) {
      _mm512_store_si512(tile + r * 64, hi[r]);
      _mm512_store_si512(tile + tile_bytes + r * 64, mid[r]);
      _mm512_store_si512(tile + 2 * tile_bytes + r * 64, lo[r]);
    }
  }
}

/// `rows` x `columns` (at most 32 each) of y += sums (rows of 32 floats).
STOFM_TARGET_AMX inline void add_block(float* y, std::int64_t stride, const float* sums, std::int64_t rows,
                                       std::int64_t columns) {
  const __mmask16 first = avx512::first_lanes(columns), second = avx512::first_lanes(columns - 16);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = y + r * stride;
    _mm512_mask_storeu_ps(out, first,
                          _mm512_add_ps(_mm512_maskz_loadu_ps(first, out), _mm512_load_ps(sums + r * 32)));
    if (second != 0)
      _mm512_mask_storeu_ps(
          out + 16, second,
          _mm512_add_ps(_mm512_maskz_loadu_ps(second, out + 16), _mm512_load_ps(sums + r * 32 + 16)));
  }
}

/// Rows [begin, end), at most 32, of sum [P, Q] += a [M, P]^T b, b packed.
STOFM_TARGET_AMX inline void add_transposed_product_rows(TensorView<float> sum, TensorView<const float> a,
                                                         const std::uint8_t* packed, std::int64_t begin,
                                                         std::int64_t end) {
  const std::int64_t m = a.dim(0), q = sum.dim(1), groups = groups_of(m), tile_step = groups * group_bytes;
  auto* left = scratch_bytes<1>(2 * tile_step + 4096);
  auto* sums = reinterpret_cast<float*>(left + 2 * tile_step);
  pack_left_tile_transposed(left, a.data + begin, a.stride(0), end - begin, m);
  pack_left_tile_transposed(left + tile_step, a.data + (std::min)(begin + 16, end), a.stride(0),
                            end - begin - 16, m);
  const TileScope tiles;
  for (std::int64_t column = 0; column < q; column += 32) {
    const std::uint8_t* right = packed + column / 16 * tile_step;
    zero_sums();
    for (std::int64_t g = 0; g < groups; ++g)
      multiply_group(left + g * group_bytes, tile_step, tile_bytes, 64, right + g * group_bytes, tile_step,
                     2 * tile_step);
    store_sums(sums, 128);
    add_block(sum.row(begin) + column, sum.stride(0), sums, end - begin, q - column);
  }
}

inline void add_transposed_product(TensorView<float> sum, TensorView<const float> a,
                                   const std::uint8_t* packed) {
  parallel_for(sum.dim(0), 32, [&](std::int64_t begin, std::int64_t end) {
    add_transposed_product_rows(sum, a, packed, begin, end);
  });
}

}  // namespace stofm::backend::amx
STOFM_KERNELS_END
#endif
