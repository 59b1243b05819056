// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One head of one sequence of training attention in float32 with AVX-512 (formulas:
/// ../sequence_attention_training.hpp). All products are small, C = A B with A read at any two strides and B
/// row by row: blocks of 8 rows and 32 columns of C stay in registers.

#include "stofm/backend/cpu/avx512/attention.hpp"
#include "stofm/backend/cpu/avx512/dropout_mask.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// A matrix read at any strides.
struct StridedOperand {
  const float* data;
  std::int64_t row, column;  // strides
};

/// Rows x 32 (or Vectors x 16) of C, summed over k in ascending order.
template <int Rows, int Vectors>
STOFM_INLINE_AVX512 void strided_product_block(float* c, std::int64_t c_stride, StridedOperand a,
                                               const float* b, std::int64_t b_stride, std::int64_t depth,
                                               std::int64_t columns, bool adds) {
  __m512 sums[Rows][Vectors];
  __mmask16 lanes[Vectors];
  for (int v = 0; v < Vectors; ++v) lanes[v] = first_lanes(columns - v * 16);
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v)
      sums[r][v] = adds ? _mm512_maskz_loadu_ps(lanes[v], c + r * c_stride + v * 16) : _mm512_setzero_ps();
  for (std::int64_t k = 0; k < depth; ++k) {
    __m512 row[Vectors];
    for (int v = 0; v < Vectors; ++v) row[v] = _mm512_maskz_loadu_ps(lanes[v], b + k * b_stride + v * 16);
    for (int r = 0; r < Rows; ++r) {
      const __m512 factor = _mm512_set1_ps(a.data[r * a.row + k * a.column]);
      for (int v = 0; v < Vectors; ++v) sums[r][v] = _mm512_fmadd_ps(factor, row[v], sums[r][v]);
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) _mm512_mask_storeu_ps(c + r * c_stride + v * 16, lanes[v], sums[r][v]);
}

template <int Rows>
STOFM_INLINE_AVX512 void strided_product_rows(float* c, std::int64_t c_stride, StridedOperand a,
                                              const float* b, std::int64_t b_stride, std::int64_t depth,
                                              std::int64_t columns, bool adds) {
  std::int64_t j = 0;
  for (; columns - j > 16; j += 32)
    strided_product_block<Rows, 2>(c + j, c_stride, a, b + j, b_stride, depth, columns - j, adds);
  if (j < columns)
    strided_product_block<Rows, 1>(c + j, c_stride, a, b + j, b_stride, depth, columns - j, adds);
}

/// C [rows, columns] = (adds ? C : 0) + A [rows, depth] B [depth, columns].
STOFM_TARGET_AVX512 inline void strided_product(float* c, std::int64_t c_stride, StridedOperand a,
                                                const float* b, std::int64_t b_stride, std::int64_t rows,
                                                std::int64_t depth, std::int64_t columns, bool adds) {
  std::int64_t i = 0;
  const auto at = [&](std::int64_t r) { return StridedOperand{a.data + r * a.row, a.row, a.column}; };
  for (; i + 8 <= rows; i += 8)
    strided_product_rows<8>(c + i * c_stride, c_stride, at(i), b, b_stride, depth, columns, adds);
  for (; i + 4 <= rows; i += 4)
    strided_product_rows<4>(c + i * c_stride, c_stride, at(i), b, b_stride, depth, columns, adds);
  for (; i < rows; ++i)
    strided_product_rows<1>(c + i * c_stride, c_stride, at(i), b, b_stride, depth, columns, adds);
}

/// out [width, padded] = x^T; columns from `rows` on are 0.
inline void transpose_head(float* out, std::int64_t padded, const float* x, std::int64_t stride,
                           std::int64_t rows, std::int64_t width) {
  for (std::int64_t c = 0; c < width; ++c) {
    for (std::int64_t i = 0; i < rows; ++i) out[c * padded + i] = x[i * stride + c];
    for (std::int64_t i = rows; i < padded; ++i) out[c * padded + i] = 0.0F;
  }
}

/// row = softmax(scale * row) over `keys`.
inline void scaled_softmax_row(float* row, std::int64_t keys, float scale) {
  scale_row(row, keys, scale);
  float maximum = row_maximum(row, keys, -std::numeric_limits<float>::infinity());
  if (maximum == -std::numeric_limits<float>::infinity()) maximum = 0.0F;
  const float total = exponentiate_row(row, keys, maximum);
  scale_row(row, keys, total == 0.0F ? 0.0F : 1.0F / total);
}

/// s = scale p (s - d), p and s rows of `keys`.
STOFM_TARGET_AVX512 inline void softmax_gradient_row(float* s, const float* p, std::int64_t keys, float d,
                                                     float scale) {
  const __m512 shift = _mm512_set1_ps(d), f = _mm512_set1_ps(scale);
  for (std::int64_t j = 0; j < keys; j += 16) {
    const __mmask16 lanes = first_lanes(keys - j);
    const __m512 weight = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, p + j), f);
    _mm512_mask_storeu_ps(s + j, lanes,
                          _mm512_mul_ps(weight, _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, s + j), shift)));
  }
}

STOFM_TARGET_AVX512 inline float dot_rows(const float* a, const float* b, std::int64_t width) {
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t c = 0; c < width; c += 16) {
    const __mmask16 lanes = first_lanes(width - c);
    sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, a + c), _mm512_maskz_loadu_ps(lanes, b + c), sum);
  }
  return _mm512_reduce_add_ps(sum);
}

inline constexpr std::int64_t training_attention_rows = 64;

/// `Plan` and `Head` are SequenceAttention<float> and SequenceHead of ../sequence_attention_training.hpp.
template <class Plan, class Head>
void attend_sequence(TensorView<float> y, const Plan& a, const Head& at) {
  const std::int64_t padded = a.padded(at.keys), keys = at.keys, width = at.width;
  const std::int64_t block = (std::min)(training_attention_rows, at.queries);
  float* const transposed = scratch<float, 5>((width + block) * padded);
  float* const weights = transposed + width * padded;
  std::uint8_t* const bits = scratch_bytes<6>(padded / 8 + 16);
  const auto k = a.key.view(), v = a.value.view(), q = a.query.view();
  transpose_head(transposed, padded, k.row(at.key_begin) + at.column, k.stride(0), keys, width);
  for (std::int64_t first = 0; first < at.queries; first += block) {
    const std::int64_t count = (std::min)(block, at.queries - first), row = at.query_begin + first;
    strided_product(weights, padded, {q.row(row) + at.column, q.stride(0), 1}, transposed, padded, count,
                    width, padded, false);
    for (std::int64_t i = 0; i < count; ++i) {
      scaled_softmax_row(weights + i * padded, keys, a.scale);
      if (!a.drops) continue;
      const std::int64_t weight = at.first_weight + (first + i) * padded;
      dropout_mask_blocks(bits, a.mask, static_cast<std::uint64_t>(weight / 8), padded / 8);
      apply_dropout(weights + i * padded, weights + i * padded, bits, keys, a.factor);
    }
    strided_product(y.row(row) + at.column, y.stride(0), {weights, padded, 1},
                    v.row(at.key_begin) + at.column, v.stride(0), count, keys, width, false);
  }
}

template <class Gradients, class Plan, class Head>
void attend_sequence_gradient(const Gradients& grads, TensorView<const float> grad_y,
                              TensorView<const float> y, const Plan& a, const Head& at) {
  const std::int64_t padded = a.padded(at.keys), keys = at.keys, width = at.width;
  const std::int64_t block = (std::min)(training_attention_rows, at.queries);
  float* const transposed_key = scratch<float, 5>(2 * (width + block) * padded);
  float* const transposed_value = transposed_key + width * padded;
  float* const weights = transposed_value + width * padded;
  float* const products = weights + block * padded;
  std::uint8_t* const bits = scratch_bytes<6>(padded / 8 + 16);
  const auto k = a.key.view(), v = a.value.view(), q = a.query.view();
  const float* const key = k.row(at.key_begin) + at.column;
  transpose_head(transposed_key, padded, key, k.stride(0), keys, width);
  transpose_head(transposed_value, padded, v.row(at.key_begin) + at.column, v.stride(0), keys, width);
  for (std::int64_t first = 0; first < at.queries; first += block) {
    const std::int64_t count = (std::min)(block, at.queries - first), row = at.query_begin + first;
    const float *const query = q.row(row) + at.column, *const grad = grad_y.row(row) + at.column;
    strided_product(weights, padded, {query, q.stride(0), 1}, transposed_key, padded, count, width, padded,
                    false);
    strided_product(products, padded, {grad, grad_y.stride(0), 1}, transposed_value, padded, count, width,
                    padded, false);
    for (std::int64_t i = 0; i < count; ++i) {
      float *const p = weights + i * padded, *const s = products + i * padded;
      scaled_softmax_row(p, keys, a.scale);
      const float d = dot_rows(grad + i * grad_y.stride(0), y.row(row + i) + at.column, width);
      if (a.drops) {
        const std::int64_t weight = at.first_weight + (first + i) * padded;
        dropout_mask_blocks(bits, a.mask, static_cast<std::uint64_t>(weight / 8), padded / 8);
        apply_dropout(s, s, bits, keys, a.factor);
      }
      softmax_gradient_row(s, p, keys, d, a.scale);
      if (a.drops) apply_dropout(p, p, bits, keys, a.factor);
    }
    const bool adds = first > 0;
    strided_product(grads.value.row(at.key_begin) + at.column, grads.value.stride(0), {weights, 1, padded},
                    grad, grad_y.stride(0), keys, count, width, adds);
    strided_product(grads.key.row(at.key_begin) + at.column, grads.key.stride(0), {products, 1, padded},
                    query, q.stride(0), keys, count, width, adds);
    strided_product(grads.query.row(row) + at.column, grads.query.stride(0), {products, padded, 1}, key,
                    k.stride(0), count, keys, width, false);
  }
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
