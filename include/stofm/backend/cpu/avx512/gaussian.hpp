// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// float32 kernels of the Gaussian network's training on AVX-512: Gaussians of many points, their gradients,
/// the gradients around its ReLU, and a transpose. Formulas: backend/cpu/gaussian.hpp.

#include <bit>

#include "stofm/backend/cpu/avx512/vector_math.hpp"

#if defined(STOFM_X86_KERNELS)

STOFM_KERNELS_BEGIN
namespace stofm::backend::avx512 {

/// psi [points, count], rows `stride` apart, of a [points]. Limiter: the exponential, 16 lanes in about 10
/// cycles.
STOFM_TARGET_AVX512 inline void gaussian_values(float* psi, std::int64_t stride, const float* a,
                                                std::int64_t points, const float* mean,
                                                const float* inverse_width, const float* peak,
                                                std::int64_t count) {
  const __m512 half = _mm512_set1_ps(-0.5F);
  for (std::int64_t k = 0; k < count; k += 16) {
    const __mmask16 lanes = first_lanes(count - k);
    const __m512 mu = _mm512_maskz_loadu_ps(lanes, mean + k),
                 s = _mm512_maskz_loadu_ps(lanes, inverse_width + k),
                 top = _mm512_maskz_loadu_ps(lanes, peak + k);
    for (std::int64_t p = 0; p < points; ++p) {
      const __m512 u = _mm512_mul_ps(_mm512_sub_ps(_mm512_set1_ps(a[p]), mu), s);
      const __m512 value = exp_ps(_mm512_mul_ps(_mm512_mul_ps(u, u), half));
      _mm512_mask_storeu_ps(psi + p * stride + k, lanes, _mm512_mul_ps(value, top));
    }
  }
}

/// With t = grad_psi psi and u = (a - mu) / s: grad_a += -sum_k t u / s, grad_mean += sum_p t u (times 1/s by
/// the caller), grad_width += sum_p t (u^2 - 1). Rows of psi are `stride` apart, those of grad_psi dense.
STOFM_TARGET_AVX512 inline void gaussian_gradients(float* grad_a, float* grad_mean, float* grad_width,
                                                   const float* grad_psi, const float* psi,
                                                   std::int64_t stride, const float* a, std::int64_t points,
                                                   const float* mean, const float* inverse_width,
                                                   std::int64_t count) {
  const __m512 one = _mm512_set1_ps(1.0F);
  for (std::int64_t k = 0; k < count; k += 16) {
    const __mmask16 lanes = first_lanes(count - k);
    const __m512 mu = _mm512_maskz_loadu_ps(lanes, mean + k),
                 s = _mm512_maskz_loadu_ps(lanes, inverse_width + k);
    __m512 mean_sum = _mm512_setzero_ps(), width_sum = _mm512_setzero_ps();
    for (std::int64_t p = 0; p < points; ++p) {
      const __m512 u = _mm512_mul_ps(_mm512_sub_ps(_mm512_set1_ps(a[p]), mu), s);
      const __m512 t = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, grad_psi + p * count + k),
                                     _mm512_maskz_loadu_ps(lanes, psi + p * stride + k));
      const __m512 tu = _mm512_mul_ps(t, u);
      mean_sum = _mm512_add_ps(mean_sum, tu);
      width_sum = _mm512_fmadd_ps(t, _mm512_fmsub_ps(u, u, one), width_sum);
      grad_a[p] -= _mm512_reduce_add_ps(_mm512_mul_ps(tu, s));
    }
    _mm512_mask_storeu_ps(grad_mean + k, lanes,
                          _mm512_add_ps(mean_sum, _mm512_maskz_loadu_ps(lanes, grad_mean + k)));
    _mm512_mask_storeu_ps(grad_width + k, lanes,
                          _mm512_add_ps(width_sum, _mm512_maskz_loadu_ps(lanes, grad_width + k)));
  }
}

/// grad_w2 [heads, units] += grad_phi^T hidden; live[j] = 1 where a unit is above zero at some point.
STOFM_TARGET_AVX512 inline void output_weight_gradients(float* grad_w2, std::uint8_t* live,
                                                        const float* grad_phi, const float* hidden,
                                                        std::int64_t points, std::int64_t heads,
                                                        std::int64_t units) {
  const __m512 zero = _mm512_setzero_ps();
  for (std::int64_t j = 0; j < units; j += 16) {
    const __mmask16 lanes = first_lanes(units - j);
    __mmask16 any = 0;
    for (std::int64_t h = 0; h < heads; h += 8) {
      const std::int64_t block = heads - h < 8 ? heads - h : 8;
      __m512 sums[8];
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) sums[i] = zero;
      if (block == 8) {
        for (std::int64_t p = 0; p < points; ++p) {
          const __m512 x = _mm512_maskz_loadu_ps(lanes, hidden + p * units + j);
          any = static_cast<__mmask16>(any | _mm512_cmp_ps_mask(x, zero, _CMP_NLE_UQ));
          const float* g = grad_phi + p * heads + h;
#pragma GCC unroll 8
          for (int i = 0; i < 8; ++i) sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(g[i]), x, sums[i]);
        }
      } else {
        for (std::int64_t i = 0; i < block; ++i)
          for (std::int64_t p = 0; p < points; ++p) {
            const __m512 x = _mm512_maskz_loadu_ps(lanes, hidden + p * units + j);
            any = static_cast<__mmask16>(any | _mm512_cmp_ps_mask(x, zero, _CMP_NLE_UQ));
            sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(grad_phi[p * heads + h + i]), x, sums[i]);
          }
      }
      for (std::int64_t i = 0; i < block; ++i) {
        float* out = grad_w2 + (h + i) * units + j;
        _mm512_mask_storeu_ps(out, lanes, _mm512_add_ps(sums[i], _mm512_maskz_loadu_ps(lanes, out)));
      }
    }
    for (int lane = 0; lane < 16 && j + lane < units; ++lane)
      live[j + lane] = static_cast<std::uint8_t>((any >> lane) & 1U);
  }
}

/// grad_z [points, live units] = (grad_phi w2) where hidden > 0, the columns of dead units left out; grad_b1
/// [units]
/// += its column sums. Rows of grad_z are `stride` apart.
STOFM_TARGET_AVX512 inline void hidden_gradients(float* grad_z, std::int64_t stride, float* grad_b1,
                                                 const std::uint8_t* live, const float* grad_phi,
                                                 const float* w2, const float* hidden, std::int64_t points,
                                                 std::int64_t heads, std::int64_t units) {
  std::int64_t column = 0;
  for (std::int64_t j = 0; j < units; j += 16) {
    const __mmask16 lanes = first_lanes(units - j);
    unsigned kept = 0;
    for (int lane = 0; lane < 16 && j + lane < units; ++lane)
      kept |= static_cast<unsigned>(live[j + lane]) << lane;
    if (kept == 0) continue;
    const auto kept_lanes = static_cast<__mmask16>(kept);
    const int width = std::popcount(kept);
    const __mmask16 stored = first_lanes(width);
    __m512 sum = _mm512_setzero_ps();
    for (std::int64_t p = 0; p < points; ++p) {
      const __m512 x = _mm512_maskz_loadu_ps(lanes, hidden + p * units + j);
      const float* g = grad_phi + p * heads;
      __m512 grad = _mm512_setzero_ps();
      for (std::int64_t h = 0; h < heads; ++h)
        grad = _mm512_fmadd_ps(_mm512_set1_ps(g[h]), _mm512_maskz_loadu_ps(lanes, w2 + h * units + j), grad);
      grad = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLE_UQ), grad);
      sum = _mm512_add_ps(sum, grad);
      _mm512_mask_storeu_ps(grad_z + p * stride + column, stored, _mm512_maskz_compress_ps(kept_lanes, grad));
    }
    _mm512_mask_storeu_ps(grad_b1 + j, lanes, _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, grad_b1 + j)));
    column += width;
  }
}

/// out [columns, rows] = in [rows, columns]^T, rows of `in` `stride` apart, `out` dense.
STOFM_TARGET_AVX512 inline void transpose(float* out, const float* in, std::int64_t stride, std::int64_t rows,
                                          std::int64_t columns) {
  for (std::int64_t i = 0; i < rows; i += 16)
    for (std::int64_t j = 0; j < columns; j += 16) {
      const __mmask16 in_lanes = first_lanes(columns - j), out_lanes = first_lanes(rows - i);
      __m512i block[16];
      for (std::int64_t r = 0; r < 16; ++r)
        block[r] = i + r < rows
                       ? _mm512_castps_si512(_mm512_maskz_loadu_ps(in_lanes, in + (i + r) * stride + j))
                       : _mm512_setzero_si512();
      transpose_16x16(block);
      for (std::int64_t r = 0; r < 16 && j + r < columns; ++r)
        _mm512_mask_storeu_ps(out + (j + r) * rows + i, out_lanes, _mm512_castsi512_ps(block[r]));
    }
}

}  // namespace stofm::backend::avx512
STOFM_KERNELS_END
#endif
