// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// y = activation(scale * (x w^T + b)) on the CPU.

#include <algorithm>

#include "stofm/backend/cpu/activation.hpp"
#include "stofm/backend/cpu/isa.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::backend {

/// The portable form: Eigen's product per block of rows.
template <class T>
void linear_generic(TensorView<T> y, TensorView<const T> x, TensorView<const T> w, const T* bias,
                    LinearOptions options) {
  const std::int64_t rows = y.dim(0), n = y.dim(1), k = x.dim(1);
  const T scale = static_cast<T>(options.scale);
  const auto weight = eigen_rows(w.data, n, k, w.stride(0));
  parallel_for(rows, 128, [&](std::int64_t begin, std::int64_t end) {
    auto out = eigen_rows(y.row(begin), end - begin, n, y.stride(0));
    if (k == 0)
      out.setZero();
    else
      out.noalias() = eigen_rows(x.row(begin), end - begin, k, x.stride(0)) * weight.transpose();
    for (std::int64_t i = begin; i < end; ++i) {
      T* row = y.row(i);
      for (std::int64_t j = 0; j < n; ++j)
        row[j] = activate(scale * (row[j] + (bias != nullptr ? bias[j] : T(0))), options.activation);
    }
  });
}

/// x: [M, K], w: [N, K], bias: [N] or null, y: [M, N]; rows dense.
template <class T>
void linear(Cpu, TensorView<T> y, TensorView<const T> x, TensorView<const T> w, const T* bias,
            LinearOptions options) {
  if (y.numel() == 0) return;
  linear_generic(y, x, w, bias, options);
}

/// Weights in the order that the kernels read, made once for many calls. Empty for the generic kernels.
template <class T>
struct PackedWeights {
  CpuKernels level = CpuKernels::generic;
};

template <class T>
PackedWeights<T> pack_weights(Cpu, TensorView<const T>) {
  return {};
}

template <class T>
void linear_packed(Cpu device, TensorView<T> y, TensorView<const T> x, TensorView<const T> w, const T* bias,
                   const PackedWeights<T>&, LinearOptions options) {
  linear(device, y, x, w, bias, options);
}

}  // namespace stofm::backend
