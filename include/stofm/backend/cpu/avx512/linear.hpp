// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// float32 matrix products with AVX-512: blocks of up to 14 rows x 32 columns of sums in registers (28 of
/// 32), the right operand packed in panels of 32 columns, the left one read by broadcasts. Limiter: the two
/// FMA ports.

#include <algorithm>
#include <span>

#include "stofm/backend/cpu/avx512/vector_math.hpp"
#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/core/parallel.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

inline constexpr std::int64_t row_tile = 14, panel_columns = 32;

/// What happens to sums before they are stored. `accumulate`: they are added to what y holds, and nothing
/// else.
struct Epilogue {
  const float* bias = nullptr;
  float scale = 1.0F;
  Activation activation = Activation::identity;
  bool accumulate = false;
};

/// One product of the sum that makes a block: rows of x, `stride` apart, against one panel [k, 32].
struct Segment {
  const float* x;
  const float* panel;
};

/// y [R, columns <= 32] = sum over segments of x [R, k] panel [k, 32].
template <int R>
STOFM_TARGET_AVX512 void multiply_tile(float* y, std::int64_t y_stride, const Segment* segments,
                                       std::int64_t count, std::int64_t row, std::int64_t x_stride,
                                       std::int64_t k, std::int64_t columns, const Epilogue& epilogue) {
  __m512 sums[R][2];
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (std::int64_t s = 0; s < count && k > 0; ++s) {
    const float* x = segments[s].x + row * x_stride;
    const float* panel = segments[s].panel;
    for (std::int64_t p = 0; p < k; ++p) {
      const __m512 b0 = _mm512_load_ps(panel + p * 32), b1 = _mm512_load_ps(panel + p * 32 + 16);
#pragma GCC unroll 14
      for (int r = 0; r < R; ++r) {
        const __m512 a = _mm512_set1_ps(x[r * x_stride + p]);
        sums[r][0] = _mm512_fmadd_ps(a, b0, sums[r][0]);
        sums[r][1] = _mm512_fmadd_ps(a, b1, sums[r][1]);
      }
    }
  }
  const __mmask16 first = first_lanes(columns), second = first_lanes(columns - 16);
  if (epilogue.accumulate) {
#pragma GCC unroll 14
    for (int r = 0; r < R; ++r) {
      float* out = y + r * y_stride;
      _mm512_mask_storeu_ps(out, first, _mm512_add_ps(sums[r][0], _mm512_maskz_loadu_ps(first, out)));
      if (second != 0)
        _mm512_mask_storeu_ps(out + 16, second,
                              _mm512_add_ps(sums[r][1], _mm512_maskz_loadu_ps(second, out + 16)));
    }
    return;
  }
#pragma GCC unroll 14
  for (int r = 0; r < R; ++r) {
    float* out = y + r * y_stride;
    _mm512_mask_storeu_ps(out, first, sums[r][0]);
    if (second != 0) _mm512_mask_storeu_ps(out + 16, second, sums[r][1]);
  }
  if (epilogue.bias == nullptr && epilogue.scale == 1.0F && epilogue.activation == Activation::identity)
    return;
  const __m512 scale = _mm512_set1_ps(epilogue.scale);
  const float* bias = epilogue.bias;
  const __m512 c0 = bias != nullptr ? _mm512_maskz_loadu_ps(first, bias) : _mm512_setzero_ps();
  const __m512 c1 = bias != nullptr ? _mm512_maskz_loadu_ps(second, bias + 16) : _mm512_setzero_ps();
  for (int r = 0; r < R; ++r) {
    float* out = y + r * y_stride;
    _mm512_mask_storeu_ps(out, first,
                          epilogue_ps(_mm512_maskz_loadu_ps(first, out), c0, scale, epilogue.activation));
    if (second != 0)
      _mm512_mask_storeu_ps(
          out + 16, second,
          epilogue_ps(_mm512_maskz_loadu_ps(second, out + 16), c1, scale, epilogue.activation));
  }
}

/// Any number of rows against one panel per segment.
inline void multiply_panel(float* y, std::int64_t y_stride, std::span<const Segment> segments,
                           std::int64_t x_stride, std::int64_t rows, std::int64_t k, std::int64_t columns,
                           const Epilogue& epilogue) {
  const Segment* first = segments.data();
  const auto count = static_cast<std::int64_t>(segments.size());
  std::int64_t r = 0;
  for (; r + row_tile <= rows; r += row_tile)
    multiply_tile<14>(y + r * y_stride, y_stride, first, count, r, x_stride, k, columns, epilogue);
  for (; r + 4 <= rows; r += 4)
    multiply_tile<4>(y + r * y_stride, y_stride, first, count, r, x_stride, k, columns, epilogue);
  for (; r < rows; ++r)
    multiply_tile<1>(y + r * y_stride, y_stride, first, count, r, x_stride, k, columns, epilogue);
}

/// One panel [k, 32] from `rows` <= 32 rows of w [., k]; missing columns are zeros.
STOFM_TARGET_AVX512 inline void pack_panel_transposed(float* panel, const float* w, std::int64_t stride,
                                                      std::int64_t rows, std::int64_t k) {
  for (std::int64_t half = 0; half < 2; ++half)
    for (std::int64_t p = 0; p < k; p += 16) {
      const __mmask16 lanes = first_lanes(k - p);
      __m512i block[16];
      for (std::int64_t r = 0; r < 16; ++r)
        block[r] = half * 16 + r < rows
                       ? _mm512_castps_si512(_mm512_maskz_loadu_ps(lanes, w + (half * 16 + r) * stride + p))
                       : _mm512_setzero_si512();
      transpose_16x16(block);
      for (std::int64_t r = 0; r < (std::min<std::int64_t>)(16, k - p); ++r)
        _mm512_store_si512(panel + (p + r) * 32 + half * 16, block[r]);
    }
}

inline std::int64_t packed_weight_floats(std::int64_t n, std::int64_t k) {
  return checked_mul((n + 31) / 32 * 32, k, "weights");
}

inline void pack_weights(float* out, TensorView<const float> w) {
  const std::int64_t n = w.dim(0), k = w.dim(1);
  parallel_for((n + 31) / 32, 2, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      pack_panel_transposed(out + t * 32 * k, w.row(t * 32), w.stride(0),
                            (std::min<std::int64_t>)(n - t * 32, 32), k);
  });
}

/// Tasks of 56 rows: a panel stays in L1 for four row tiles.
inline void linear(TensorView<float> y, TensorView<const float> x, const float* weights, const float* bias,
                   LinearOptions options) {
  const std::int64_t n = y.dim(1), k = x.dim(1);
  parallel_for(y.dim(0), 4 * row_tile, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t column = 0; column < n; column += panel_columns) {
      const Epilogue epilogue{bias != nullptr ? bias + column : nullptr, static_cast<float>(options.scale),
                              options.activation, false};
      const Segment segment{x.row(begin), weights + column * k};
      multiply_panel(y.row(begin) + column, y.stride(0), {&segment, 1}, x.stride(0), end - begin, k,
                     n - column, epilogue);
    }
  });
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
