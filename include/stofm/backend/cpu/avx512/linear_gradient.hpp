// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Products of the gradient of a linear layer with AVX-512, on the tiles of avx512/linear.hpp: right operands
/// packed as they are stored, left operands transposed into scratch 56 columns at a time.

#include "stofm/backend/cpu/avx512/linear.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// One panel [rows, 32] from columns [0, columns) of v; missing columns are zeros.
STOFM_TARGET_AVX512 inline void pack_panel(float* panel, const float* v, std::int64_t stride,
                                           std::int64_t rows, std::int64_t columns) {
  const __mmask16 first = first_lanes(columns), second = first_lanes(columns - 16);
  for (std::int64_t i = 0; i < rows; ++i) {
    _mm512_store_ps(panel + i * 32, _mm512_maskz_loadu_ps(first, v + i * stride));
    _mm512_store_ps(panel + i * 32 + 16,
                    second != 0 ? _mm512_maskz_loadu_ps(second, v + i * stride + 16) : _mm512_setzero_ps());
  }
}

/// b [K, N] in the order of `pack_weights` for w = b^T.
inline void pack_weights_as_stored(float* out, TensorView<const float> b) {
  const std::int64_t k = b.dim(0), n = b.dim(1);
  parallel_for((n + 31) / 32, 2, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      pack_panel(out + t * 32 * k, b.data + t * 32, b.stride(0), k, n - t * 32);
  });
}

/// out [columns, rows] (rows `out_stride` apart) = x [rows, columns]^T. Writes whole vectors of 16:
/// out_stride is a multiple of 16 that is at least `rows`.
STOFM_TARGET_AVX512 inline void transpose_rows(float* out, std::int64_t out_stride, const float* x,
                                               std::int64_t stride, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t j = 0; j < columns; j += 16) {
    const __mmask16 lanes = first_lanes(columns - j);
    for (std::int64_t i = 0; i < rows; i += 16) {
      __m512i block[16];
      for (std::int64_t r = 0; r < 16; ++r)
        block[r] = i + r < rows ? _mm512_castps_si512(_mm512_maskz_loadu_ps(lanes, x + (i + r) * stride + j))
                                : _mm512_setzero_si512();
      transpose_16x16(block);
      for (std::int64_t c = 0; c < (std::min<std::int64_t>)(16, columns - j); ++c)
        _mm512_store_si512(out + (j + c) * out_stride + i, block[c]);
    }
  }
}

/// sum [P, Q] += a [M, P]^T b, b packed.
inline void add_transposed_product(TensorView<float> sum, TensorView<const float> a, const float* packed) {
  const std::int64_t m = a.dim(0), q = sum.dim(1),
                     stride = (m + 15) / 16 * 16 + 16;  // not a multiple of 4 KB
  parallel_for(sum.dim(0), 4 * row_tile, [&](std::int64_t begin, std::int64_t end) {
    float* left = scratch<float, 1>((end - begin) * stride);
    transpose_rows(left, stride, a.data + begin, a.stride(0), m, end - begin);
    const Epilogue add{nullptr, 1.0F, Activation::identity, true};
    for (std::int64_t column = 0; column < q; column += panel_columns) {
      const Segment segment{left, packed + column * m};
      multiply_panel(sum.row(begin) + column, sum.stride(0), {&segment, 1}, stride, end - begin, m,
                     q - column, add);
    }
  });
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
