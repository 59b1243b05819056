// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention of one head in float32 with AVX-512, 28 query rows at a time; the same scheme as
/// amx/attention.hpp with logits in rows: blocks of at most 2048 keys, logits in L2, weights in their place.
/// And a form for one or two queries that reads keys and values where they are.

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "stofm/backend/cpu/avx512/linear.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

inline constexpr std::int64_t attention_rows = 28, block_keys = 2048;

/// Largest of `count` logits, and at least `maximum`.
STOFM_TARGET_AVX512 inline float row_maximum(const float* row, std::int64_t count, float maximum) {
  const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __m512 largest = _mm512_set1_ps(maximum);
  for (std::int64_t j = 0; j < count; j += 16)
    largest = _mm512_max_ps(largest, _mm512_mask_loadu_ps(lowest, first_lanes(count - j), row + j));
  return _mm512_reduce_max_ps(largest);
}

/// row = exp(row - maximum); the sum comes back.
STOFM_TARGET_AVX512 inline float exponentiate_row(float* row, std::int64_t count, float maximum) {
  const __m512 m = _mm512_set1_ps(maximum);
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t j = 0; j < count; j += 16) {
    const __mmask16 lanes = first_lanes(count - j);
    const __m512 p = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, row + j), m), softmax_floor);
    _mm512_mask_storeu_ps(row + j, lanes, p);
    sum = _mm512_mask_add_ps(sum, lanes, sum, p);
  }
  return _mm512_reduce_add_ps(sum);
}

STOFM_TARGET_AVX512 inline void scale_row(float* row, std::int64_t count, float factor) {
  const __m512 f = _mm512_set1_ps(factor);
  for (std::int64_t j = 0; j < count; j += 16) {
    const __mmask16 lanes = first_lanes(count - j);
    _mm512_mask_storeu_ps(row + j, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, row + j), f));
  }
}

/// Panels [begin, end) of 32 columns of `rows` rows of v, [rows, 32] each.
STOFM_TARGET_AVX512 inline void pack_panels(float* out, const float* v, std::int64_t stride,
                                            std::int64_t rows, std::int64_t width) {
  for (std::int64_t column = 0; column < width; column += 32) {
    const __mmask16 first = first_lanes(width - column), second = first_lanes(width - column - 16);
    float* panel = out + column * rows;
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* row = v + i * stride + column;
      _mm512_store_ps(panel + i * 32, _mm512_maskz_loadu_ps(first, row));
      _mm512_store_ps(panel + i * 32 + 16, _mm512_maskz_loadu_ps(second, row + 16));
    }
  }
}

/// CSR entries added to the logits of the rows of a block; `row_offsets` starts at its first row.
struct RowAdditions {
  const std::int64_t* row_offsets = nullptr;
  const std::int32_t* columns = nullptr;
  const float* values = nullptr;
};

/// y: `rows` <= 28 rows of `width` floats. Segments: x = the query rows of this block, panel = all key panels
/// [ceil(keys / 32)][k, 32] of this head. values: panels of pack_panels over all keys.
inline void attend_rows(float* y, std::int64_t y_stride, std::int64_t rows, std::int64_t keys,
                        std::span<const Segment> segments, std::int64_t q_stride, std::int64_t k, float scale,
                        const float* values, std::int64_t width, const RowAdditions& additions = {}) {
  const std::int64_t longest = (std::min)(keys, block_keys);
  const std::int64_t stride = (longest + 31) / 32 * 32 + 16;  // never a multiple of 4 KB
  const auto count = static_cast<std::int64_t>(segments.size());
  float* logits = scratch<float, 3>(attention_rows * stride);
  float maximum[attention_rows], total[attention_rows] = {};
  std::int64_t next[attention_rows] = {};
  std::vector<Segment> here(segments.begin(), segments.end());
  const Epilogue scaled{nullptr, scale, Activation::identity, false};
  for (std::int64_t start = 0; start < keys; start += block_keys) {
    const std::int64_t length = (std::min)(block_keys, keys - start);
    for (std::int64_t column = 0; column < length; column += 32) {
      for (std::int64_t s = 0; s < count; ++s)
        here[static_cast<std::size_t>(s)].panel =
            segments[static_cast<std::size_t>(s)].panel + (start + column) * k;
      multiply_panel(logits + column, stride, here, q_stride, rows, k, length - column, scaled);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      float* row = logits + r * stride;
      if (additions.row_offsets != nullptr) {
        if (start == 0) next[r] = additions.row_offsets[r];
        for (; next[r] < additions.row_offsets[r + 1] && additions.columns[next[r]] < start + length;
             ++next[r])
          row[additions.columns[next[r]] - start] += additions.values[next[r]];
      }
      const float before = start == 0 ? -std::numeric_limits<float>::infinity() : maximum[r];
      maximum[r] = row_maximum(row, length, before);
      if (maximum[r] == -std::numeric_limits<float>::infinity()) maximum[r] = 0.0F;
      const float sum = exponentiate_row(row, length, maximum[r]);
      const float factor = start == 0 ? 0.0F : std::exp(before - maximum[r]);
      total[r] = start == 0 ? sum : total[r] * factor + sum;
      if (start != 0) scale_row(y + r * y_stride, width, factor);
    }
    for (std::int64_t column = 0; column < width; column += 32) {
      const Segment segment{logits, values + column * keys + start * 32};
      multiply_panel(y + column, y_stride, {&segment, 1}, stride, rows, length, width - column,
                     Epilogue{nullptr, 1.0F, Activation::identity, start != 0});
    }
  }
  for (std::int64_t r = 0; r < rows; ++r)
    scale_row(y + r * y_stride, width, total[r] == 0.0F ? 0.0F : 1.0F / total[r]);
}

/// Self-contained attention of one head: packs keys and values, then attends.
inline void attend(float* y, std::int64_t y_stride, const float* q, std::int64_t q_stride,
                   std::int64_t queries, const float* k, std::int64_t k_stride, const float* v,
                   std::int64_t v_stride, std::int64_t keys, std::int64_t width, float scale) {
  const std::int64_t panels = (keys + 31) / 32;
  float* packed = scratch<float, 4>(panels * 32 * width + (width + 31) / 32 * 32 * keys);
  float* values = packed + panels * 32 * width;
  for (std::int64_t t = 0; t < panels; ++t)
    pack_panel_transposed(packed + t * 32 * width, k + t * 32 * k_stride, k_stride,
                          (std::min<std::int64_t>)(keys - t * 32, 32), width);
  pack_panels(values, v, v_stride, keys, width);
  for (std::int64_t i = 0; i < queries; i += attention_rows) {
    const Segment segment{q + i * q_stride, packed};
    attend_rows(y + i * y_stride, y_stride, (std::min)(attention_rows, queries - i), keys, {&segment, 1},
                q_stride, width, scale, values, width);
  }
}

/// One query of one head, no packing. y: [width].
STOFM_TARGET_AVX512 inline void attend_single(float* y, const float* q, const float* k, std::int64_t k_stride,
                                              const float* v, std::int64_t v_stride, std::int64_t keys,
                                              std::int64_t width, float scale) {
  float* logits = scratch<float, 3>(keys);
  for (std::int64_t j = 0; j < keys; ++j) {
    __m512 sum = _mm512_setzero_ps();
    for (std::int64_t c = 0; c < width; c += 16) {
      const __mmask16 lanes = first_lanes(width - c);
      sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, q + c),
                            _mm512_maskz_loadu_ps(lanes, k + j * k_stride + c), sum);
    }
    logits[j] = _mm512_reduce_add_ps(sum) * scale;
  }
  float maximum = row_maximum(logits, keys, -std::numeric_limits<float>::infinity());
  if (maximum == -std::numeric_limits<float>::infinity()) maximum = 0.0F;
  const float total = exponentiate_row(logits, keys, maximum);
  for (std::int64_t c = 0; c < width; c += 64) {
    __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (std::int64_t j = 0; j < keys; ++j) {
      const __m512 p = _mm512_set1_ps(logits[j]);
      for (int t = 0; t < 4; ++t)
        sums[t] = _mm512_fmadd_ps(
            p, _mm512_maskz_loadu_ps(first_lanes(width - c - t * 16), v + j * v_stride + c + t * 16),
            sums[t]);
    }
    for (int t = 0; t < 4; ++t)
      _mm512_mask_storeu_ps(y + c + t * 16, first_lanes(width - c - t * 16), sums[t]);
  }
  scale_row(y, width, total == 0.0F ? 0.0F : 1.0F / total);
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
