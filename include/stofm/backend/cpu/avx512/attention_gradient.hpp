// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of softmax attention of one head of one sequence in float32 with AVX-512. Query rows come in
/// blocks of 56 (28 beyond 1024 keys); per block, with all keys:
///     P = softmax(scale q k^T), S = scale P * (grad_y v^T - <grad_y, y>)      [rows, keys], in rows
///     grad_q = S k;   P and S transposed: grad_v += P^T grad_y, grad_k += S^T q
/// All five products run on the register tiles of avx512/linear.hpp. Scratch: three times rows x keys floats
/// and four packed copies of k and v. Limiter: the two FMA ports.

#include "stofm/backend/cpu/avx512/attention.hpp"
#include "stofm/backend/cpu/avx512/linear_gradient.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// Pointers to column 0 of one head at the first row of one sequence, and the distances between rows.
struct AttentionGradientHead {
  const float *q, *k, *v, *y, *grad_y;
  std::int64_t q_stride, k_stride, v_stride, y_stride, grad_y_stride;
  float *grad_q, *grad_k, *grad_v;
  std::int64_t grad_q_stride, grad_k_stride, grad_v_stride;
};

STOFM_TARGET_AVX512 inline float row_product(const float* a, const float* b, std::int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t j = 0; j < count; j += 16) {
    const __mmask16 lanes = first_lanes(count - j);
    sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, a + j), _mm512_maskz_loadu_ps(lanes, b + j), sum);
  }
  return _mm512_reduce_add_ps(sum);
}

/// p <- p * factor, s <- scale * p * (s - d).
STOFM_TARGET_AVX512 inline void softmax_gradient_row(float* p, float* s, std::int64_t count, float factor,
                                                     float d, float scale) {
  const __m512 f = _mm512_set1_ps(factor), shift = _mm512_set1_ps(d), c = _mm512_set1_ps(scale);
  for (std::int64_t j = 0; j < count; j += 16) {
    const __mmask16 lanes = first_lanes(count - j);
    const __m512 weight = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, p + j), f);
    const __m512 change = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, s + j), shift);
    _mm512_mask_storeu_ps(p + j, lanes, weight);
    _mm512_mask_storeu_ps(s + j, lanes, _mm512_mul_ps(c, _mm512_mul_ps(weight, change)));
  }
}

/// y [rows, width] (+)= x [rows, k] panels, panels [ceil(width / 32)][k, 32].
inline void multiply_panels(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride,
                            std::int64_t rows, std::int64_t k, const float* panels, std::int64_t width,
                            bool accumulate) {
  const Epilogue epilogue{nullptr, 1.0F, Activation::identity, accumulate};
  for (std::int64_t column = 0; column < width; column += panel_columns) {
    const Segment segment{x, panels + column * k};
    multiply_panel(y + column, y_stride, {&segment, 1}, x_stride, rows, k, width - column, epilogue);
  }
}

/// Overwrites the `length` rows of grad_q, grad_k, grad_v of this head. length and width > 0.
inline void attend_gradient(const AttentionGradientHead& head, std::int64_t length, std::int64_t width,
                            float scale) {
  const std::int64_t block = length > 1024 ? 2 * row_tile : 4 * row_tile;
  const std::int64_t padded = (length + 31) / 32 * 32, padded_width = (width + 31) / 32 * 32;
  const std::int64_t stride = padded + 16;                    // of a row of logits: never a multiple of 4 KB
  const std::int64_t turned_stride = (block + 15) / 16 * 16;  // of a row of a transposed block
  float* const keys_turned = scratch<float, 4>(2 * padded * width + padded_width * (length + 2 * block) +
                                               2 * block * stride + padded * turned_stride);
  float* const values_turned = keys_turned + padded * width;
  float* const keys = values_turned + padded * width;
  float* const queries = keys + padded_width * length;  // panels of the rows of one block
  float* const grads = queries + padded_width * block;
  float* const weights = grads + padded_width * block;  // P
  float* const changes = weights + block * stride;      // grad_y v^T, then S
  float* const turned = changes + block * stride;       // P^T, then S^T
  for (std::int64_t t = 0; t < length; t += 32) {
    const std::int64_t rows = (std::min<std::int64_t>)(length - t, 32);
    pack_panel_transposed(keys_turned + t * width, head.k + t * head.k_stride, head.k_stride, rows, width);
    pack_panel_transposed(values_turned + t * width, head.v + t * head.v_stride, head.v_stride, rows, width);
  }
  pack_panels(keys, head.k, head.k_stride, length, width);
  for (std::int64_t first = 0; first < length; first += block) {
    const std::int64_t rows = (std::min)(block, length - first);
    const float *const q = head.q + first * head.q_stride, *const grad_y =
                                                               head.grad_y + first * head.grad_y_stride;
    multiply_panels(weights, stride, q, head.q_stride, rows, width, keys_turned, length, false);
    multiply_panels(changes, stride, grad_y, head.grad_y_stride, rows, width, values_turned, length, false);
    for (std::int64_t r = 0; r < rows; ++r) {
      float *const p = weights + r * stride, *const s = changes + r * stride;
      scale_row(p, length, scale);
      float maximum = row_maximum(p, length, -std::numeric_limits<float>::infinity());
      if (maximum == -std::numeric_limits<float>::infinity()) maximum = 0.0F;
      const float total = exponentiate_row(p, length, maximum);
      const float d =
          row_product(grad_y + r * head.grad_y_stride, head.y + (first + r) * head.y_stride, width);
      softmax_gradient_row(p, s, length, total == 0.0F ? 0.0F : 1.0F / total, d, scale);
    }
    multiply_panels(head.grad_q + first * head.grad_q_stride, head.grad_q_stride, changes, stride, rows,
                    length, keys, width, false);
    pack_panels(queries, q, head.q_stride, rows, width);
    pack_panels(grads, grad_y, head.grad_y_stride, rows, width);
    transpose_rows(turned, turned_stride, weights, stride, rows, length);
    multiply_panels(head.grad_v, head.grad_v_stride, turned, turned_stride, length, rows, grads, width,
                    first != 0);
    transpose_rows(turned, turned_stride, changes, stride, rows, length);
    multiply_panels(head.grad_k, head.grad_k_stride, turned, turned_stride, length, rows, queries, width,
                    first != 0);
  }
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
