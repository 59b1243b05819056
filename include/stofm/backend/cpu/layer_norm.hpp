// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layer normalisation of rows on the CPU, and its gradient: blocks of 64 rows, each with sums of its own for
/// the gradients of gamma and beta, which are added in the order of the blocks.

#include <cmath>
#include <type_traits>
#include <vector>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/layer_norm.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// y = (z - mean z) / sqrt(var z + eps) * gamma + beta with z = x (+ residual), two passes in double.
template <class T>
void layer_norm_row_generic(T* y, const T* x, const T* residual, const T* gamma, const T* beta,
                            std::int64_t n, double eps) {
  double sum = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    const T z = residual != nullptr ? x[j] + residual[j] : x[j];
    y[j] = z;
    sum += static_cast<double>(z);
  }
  const double mean = sum / static_cast<double>(n);
  double squares = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    const double c = static_cast<double>(y[j]) - mean;
    squares += c * c;
  }
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (std::int64_t j = 0; j < n; ++j)
    y[j] = static_cast<T>((static_cast<double>(y[j]) - mean) * factor * static_cast<double>(gamma[j]) +
                          static_cast<double>(beta[j]));
}

/// x, residual (or no data), y: [M, N]; gamma, beta: [N]. y may be x, not residual.
template <class T>
void layer_norm(Cpu, TensorView<T> y, TensorView<const T> x, TensorView<const T> residual, const T* gamma,
                const T* beta, double eps) {
  const std::int64_t n = y.dim(1);
  if (n == 0) return;
  [[maybe_unused]] const CpuKernels level = cpu_kernels();
  parallel_for(y.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* other = residual.data != nullptr ? residual.row(i) : nullptr;
#if defined(STOFM_VECTOR_KERNELS)
      if constexpr (std::is_same_v<T, float>) {
        if (level != CpuKernels::generic) {
          STOFM_AT_LEVEL(level, layer_norm_row(y.row(i), x.row(i), other, gamma, beta, n, eps));
          continue;
        }
      }
#endif
      layer_norm_row_generic(y.row(i), x.row(i), other, gamma, beta, n, eps);
    }
  });
}

/// One row of z = x (+ residual): grad_z, and grad_y h and grad_y added to the sums of the block. `h` has n
/// places.
template <class T>
void layer_norm_gradient_row(T* grad_z, double* sum_gamma, double* sum_beta, double* h, const T* grad_y,
                             const T* x, const T* residual, const T* gamma, std::int64_t n, double eps) {
  const double count = static_cast<double>(n);
  double sum = 0, squares = 0, mean_g = 0, mean_gh = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    h[j] = static_cast<double>(residual != nullptr ? x[j] + residual[j] : x[j]);
    sum += h[j];
  }
  const double mean = sum / count;
  for (std::int64_t j = 0; j < n; ++j) {
    h[j] -= mean;
    squares += h[j] * h[j];
  }
  const double factor = 1.0 / std::sqrt(squares / count + eps);
  for (std::int64_t j = 0; j < n; ++j) {
    h[j] *= factor;
    const double g = static_cast<double>(grad_y[j]) * static_cast<double>(gamma[j]);
    mean_g += g;
    mean_gh += g * h[j];
    sum_gamma[j] += static_cast<double>(grad_y[j]) * h[j];
    sum_beta[j] += static_cast<double>(grad_y[j]);
  }
  mean_g /= count;
  mean_gh /= count;
  for (std::int64_t j = 0; j < n; ++j)
    grad_z[j] = static_cast<T>(
        factor * (static_cast<double>(grad_y[j]) * static_cast<double>(gamma[j]) - mean_g - h[j] * mean_gh));
}

/// grad_z, grad_y, x, residual (or no data): [M, N]; gamma: [N]; grad_gamma, grad_beta: [N] or null, added
/// to.
template <class T>
void layer_norm_gradient(Cpu, TensorView<T> grad_z, T* grad_gamma, T* grad_beta, TensorView<const T> grad_y,
                         TensorView<const T> x, TensorView<const T> residual, const T* gamma, double eps) {
  constexpr std::int64_t block = 64;
  const std::int64_t rows = x.dim(0), n = x.dim(1), blocks = (rows + block - 1) / block;
  if (rows == 0 || n == 0) return;
  std::vector<double> sums(static_cast<std::size_t>(checked_mul(checked_mul(blocks, 2, "sums"), n, "sums")));
  [[maybe_unused]] const CpuKernels level = cpu_kernels();
  parallel_for(rows, block, [&](std::int64_t begin, std::int64_t end) {
    double* sum_gamma = sums.data() + begin / block * 2 * n;
#if defined(STOFM_VECTOR_KERNELS)
    if constexpr (std::is_same_v<T, float>) {
      if (level != CpuKernels::generic) {
        std::vector<float> here(static_cast<std::size_t>(3 * n));  // sums of this block, and h
        for (std::int64_t i = begin; i < end; ++i)
          STOFM_AT_LEVEL(level, layer_norm_gradient_row(grad_z.row(i), here.data(), here.data() + n,
                                                        here.data() + 2 * n, grad_y.row(i), x.row(i),
                                                        residual.data != nullptr ? residual.row(i) : nullptr,
                                                        gamma, n, eps));
        for (std::int64_t j = 0; j < 2 * n; ++j)
          sum_gamma[j] = static_cast<double>(here[static_cast<std::size_t>(j)]);
        return;
      }
    }
#endif
    std::vector<double> h(static_cast<std::size_t>(n));
    for (std::int64_t i = begin; i < end; ++i)
      layer_norm_gradient_row(grad_z.row(i), sum_gamma, sum_gamma + n, h.data(), grad_y.row(i), x.row(i),
                              residual.data != nullptr ? residual.row(i) : nullptr, gamma, n, eps);
  });
  for (int part = 0; part < 2; ++part) {
    T* into = part == 0 ? grad_gamma : grad_beta;
    if (into == nullptr) continue;
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t b = 0; b < blocks; ++b) sum += sums[static_cast<std::size_t>((b * 2 + part) * n + j)];
      into[j] = static_cast<T>(static_cast<double>(into[j]) + sum);
    }
  }
}

STOFM_KERNEL_INSTANCES(layer_norm)
STOFM_KERNEL_INSTANCES(layer_norm_gradient)

}  // namespace stofm::backend
