// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradient of the layer normalisation of rows on the CPU: blocks of 64 rows, each with sums of its own for
/// the gradients of gamma and beta, which are added in the order of the blocks.

#include <cmath>
#include <type_traits>
#include <vector>

#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/vector/layer_norm_gradient.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

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

STOFM_KERNEL_INSTANCES(layer_norm_gradient)

}  // namespace stofm::backend
