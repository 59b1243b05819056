// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The two products of the gradient of a linear layer on the CPU: y = a b and sum += a^T b, operands as they
/// are stored.

#include <algorithm>

#include "stofm/backend/cpu/amx/linear_gradient.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/linear.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/vector/linear_gradient.hpp"

namespace stofm::backend {

#if defined(STOFM_VECTOR_KERNELS)
inline void pack_weights_as_stored_into(CpuKernels level, std::uint8_t* out, TensorView<const float> b) {
#if defined(STOFM_X86_KERNELS)
  if (level == CpuKernels::amx) return amx::pack_weights_as_stored(out, b);
#endif
  STOFM_AT_LEVEL(level, pack_weights_as_stored(reinterpret_cast<float*>(out), b));
}
inline void add_transposed_packed(CpuKernels level, TensorView<float> sum, TensorView<const float> a,
                                  const std::uint8_t* packed) {
#if defined(STOFM_X86_KERNELS)
  if (level == CpuKernels::amx) return amx::add_transposed_product(sum, a, packed);
#endif
  STOFM_AT_LEVEL(level, add_transposed_product(sum, a, reinterpret_cast<const float*>(packed)));
}
#endif

/// y [M, N] = a [M, K] b [K, N].
template <class T>
void product(Cpu, TensorView<T> y, TensorView<const T> a, TensorView<const T> b) {
  const std::int64_t n = y.dim(1), k = a.dim(1);
  if (y.numel() == 0) return;
  if (k == 0) {
    for (std::int64_t i = 0; i < y.dim(0); ++i) std::fill_n(y.row(i), n, T(0));
    return;
  }
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) {
    const CpuKernels level = cpu_kernels();
    if (level != CpuKernels::generic) {
      std::uint8_t* packed = scratch_bytes<2>(packed_weight_bytes(level, n, k));
      pack_weights_as_stored_into(level, packed, b);
      linear_packed_bytes(level, y, a, packed, nullptr, {});
      return;
    }
  }
#endif
  parallel_for(y.dim(0), 128, [&](std::int64_t begin, std::int64_t end) {
    eigen_rows(y.row(begin), end - begin, n, y.stride(0)).noalias() =
        eigen_rows(a.row(begin), end - begin, k, a.stride(0)) * eigen_rows(b.data, k, n, b.stride(0));
  });
}

/// sum [P, Q] += a [M, P]^T b [M, Q].
template <class T>
void add_transposed_product(Cpu, TensorView<T> sum, TensorView<const T> a, TensorView<const T> b) {
  constexpr std::int64_t chunk = 1024;  // rows at a time: packed, they stay in the L2 caches
  if (sum.numel() == 0) return;
  auto rows = [](TensorView<const T> m, std::int64_t begin, std::int64_t end) {
    return TensorView<const T>{m.row(begin), Shape{end - begin, m.dim(1)}, m.strides, m.device};
  };
  for (std::int64_t begin = 0; begin < a.dim(0); begin += chunk) {
    const std::int64_t end = (std::min)(begin + chunk, a.dim(0));
    const TensorView<const T> left = rows(a, begin, end), right = rows(b, begin, end);
#if defined(STOFM_VECTOR_KERNELS)
    if constexpr (std::is_same_v<T, float>) {
      const CpuKernels level = cpu_kernels();
      if (level != CpuKernels::generic) {
        std::uint8_t* packed = scratch_bytes<2>(packed_weight_bytes(level, b.dim(1), end - begin));
        pack_weights_as_stored_into(level, packed, right);
        add_transposed_packed(level, sum, left, packed);
        continue;
      }
    }
#endif
    parallel_for(sum.dim(0), 64, [&](std::int64_t first, std::int64_t last) {
      eigen_rows(sum.row(first), last - first, sum.dim(1), sum.stride(0)).noalias() +=
          eigen_rows(left.data + first, left.dim(0), last - first, left.stride(0)).transpose() *
          eigen_rows(right.data, right.dim(0), right.dim(1), right.stride(0));
    });
  }
}

STOFM_KERNEL_INSTANCES(product)
STOFM_KERNEL_INSTANCES(add_transposed_product)

}  // namespace stofm::backend
