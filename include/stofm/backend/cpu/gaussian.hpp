// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parts of the Gaussian network's training, over a block of points:
///   u = (a - mu_k) / s_k,  psi_k = exp(-u^2 / 2) / (sqrt(2 pi) s_k),  hidden = relu(W1 psi + b1),  phi = W2
///   hidden + b2
/// Plain loops for any scalar, vectors for float. Checks are the caller's.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/gaussian.hpp"
#include "stofm/core/cpu_features.hpp"

namespace stofm::backend {

/// A row of Gaussians: centre, 1 / s and 1 / (sqrt(2 pi) s) of each.
template <class T>
struct GaussianRow {
  const T *mean, *inverse_width, *peak;
  std::int64_t count;
};

/// psi [points, count], rows `stride` apart, of a [points].
template <class T>
void gaussian_values(T* psi, std::int64_t stride, const T* a, std::int64_t points,
                     const GaussianRow<T>& row) {
  STOFM_RETURN_KERNEL(
      T, cpu_kernels(),
      gaussian_values(psi, stride, a, points, row.mean, row.inverse_width, row.peak, row.count))
  for (std::int64_t p = 0; p < points; ++p)
    for (std::int64_t k = 0; k < row.count; ++k) {
      const T u = (a[p] - row.mean[k]) * row.inverse_width[k];
      psi[p * stride + k] = std::exp(T(-0.5) * u * u) * row.peak[k];
    }
}

/// With t = grad_psi psi: grad_a [points] -= sum_k t u / s, grad_mean [count] += sum_p t u and grad_width
/// [count] += sum_p t (u^2 - 1), the last two still to be divided by s. Rows of psi are `stride` apart, those
/// of grad_psi dense.
template <class T>
void gaussian_gradients(T* grad_a, T* grad_mean, T* grad_width, const T* grad_psi, const T* psi,
                        std::int64_t stride, const T* a, std::int64_t points, const GaussianRow<T>& row) {
  STOFM_RETURN_KERNEL(T, cpu_kernels(),
                      gaussian_gradients(grad_a, grad_mean, grad_width, grad_psi, psi, stride, a, points,
                                         row.mean, row.inverse_width, row.count))
  for (std::int64_t p = 0; p < points; ++p)
    for (std::int64_t k = 0; k < row.count; ++k) {
      const T u = (a[p] - row.mean[k]) * row.inverse_width[k];
      const T t = grad_psi[p * row.count + k] * psi[p * stride + k];
      grad_mean[k] += t * u;
      grad_width[k] += t * (u * u - T(1));
      grad_a[p] -= t * u * row.inverse_width[k];
    }
}

/// grad_w2 [heads, units] += grad_phi^T hidden; live[j] = 1 where a unit is above zero (or NaN) at some
/// point.
template <class T>
void output_weight_gradients(T* grad_w2, std::uint8_t* live, const T* grad_phi, const T* hidden,
                             std::int64_t points, std::int64_t heads, std::int64_t units) {
  STOFM_RETURN_KERNEL(T, cpu_kernels(),
                      output_weight_gradients(grad_w2, live, grad_phi, hidden, points, heads, units))
  for (std::int64_t j = 0; j < units; ++j) live[j] = 0;
  for (std::int64_t p = 0; p < points; ++p) {
    const T* x = hidden + p * units;
    for (std::int64_t j = 0; j < units; ++j)
      if (!(x[j] <= T(0))) live[j] = 1;
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t j = 0; j < units; ++j) grad_w2[h * units + j] += grad_phi[p * heads + h] * x[j];
  }
}

/// grad_z [points, live units] = (grad_phi w2) where hidden > 0 (or NaN), the columns of dead units left out;
/// grad_b1 [units] += its column sums.
template <class T>
void hidden_gradients(T* grad_z, std::int64_t stride, T* grad_b1, const std::uint8_t* live, const T* grad_phi,
                      const T* w2, const T* hidden, std::int64_t points, std::int64_t heads,
                      std::int64_t units) {
  STOFM_RETURN_KERNEL(
      T, cpu_kernels(),
      hidden_gradients(grad_z, stride, grad_b1, live, grad_phi, w2, hidden, points, heads, units))
  for (std::int64_t p = 0; p < points; ++p) {
    std::int64_t column = 0;
    for (std::int64_t j = 0; j < units; ++j) {
      if (live[j] == 0) continue;
      T grad = 0;
      if (!(hidden[p * units + j] <= T(0)))
        for (std::int64_t h = 0; h < heads; ++h) grad += grad_phi[p * heads + h] * w2[h * units + j];
      grad_z[p * stride + column++] = grad;
      grad_b1[j] += grad;
    }
  }
}

/// out [columns, rows] = in [rows, columns]^T; rows of `in` `stride` apart, `out` dense.
template <class T>
void transpose_block(T* out, const T* in, std::int64_t stride, std::int64_t rows, std::int64_t columns) {
  STOFM_RETURN_KERNEL(T, cpu_kernels(), transpose(out, in, stride, rows, columns))
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) out[j * rows + i] = in[i * stride + j];
}

STOFM_KERNEL_INSTANCES(gaussian_values)
STOFM_KERNEL_INSTANCES(gaussian_gradients)
STOFM_KERNEL_INSTANCES(output_weight_gradients)
STOFM_KERNEL_INSTANCES(hidden_gradients)
STOFM_KERNEL_INSTANCES(transpose_block)

}  // namespace stofm::backend
