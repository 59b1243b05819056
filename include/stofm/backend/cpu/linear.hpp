// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// y = activation(scale * (x w^T + b)) on the CPU.

#include <algorithm>

#include "stofm/backend/cpu/activation.hpp"
#include "stofm/backend/cpu/amx/linear.hpp"
#include "stofm/backend/cpu/bfloat16/products.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/backend/cpu/vector/linear.hpp"
#include "stofm/core/cpu_features.hpp"
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

/// Weights in the order that the kernels of one level and grade read, made once for many calls; no data for
/// the generic level.
template <class T>
struct PackedWeights {
  CpuKernels level = CpuKernels::generic;
  MatmulGrade grade = MatmulGrade::float32;
  Tensor<std::uint8_t> bytes;
};

#if defined(STOFM_VECTOR_KERNELS)
/// Bytes of packed weights of one level and grade.
inline std::int64_t packed_weight_bytes(CpuKernels level, std::int64_t n, std::int64_t k,
                                        MatmulGrade grade = MatmulGrade::float32) {
  if (grade == MatmulGrade::bfloat16)
    return checked_mul(STOFM_AT_BFLOAT16(level, packed_weight_floats(n, k)), sizeof(float), "weights");
#if defined(STOFM_X86_KERNELS)
  if (level == CpuKernels::amx) return amx::packed_weight_bytes(n, k);
#endif
  return checked_mul(STOFM_AT_LEVEL(level, packed_weight_floats(n, k)), sizeof(float), "weights");
}
inline void pack_weights_into(CpuKernels level, std::uint8_t* out, TensorView<const float> w,
                              MatmulGrade grade = MatmulGrade::float32) {
  if (grade == MatmulGrade::bfloat16)
    return STOFM_AT_BFLOAT16(level, pack_weights(reinterpret_cast<float*>(out), w));
#if defined(STOFM_X86_KERNELS)
  if (level == CpuKernels::amx) return amx::pack_weights(out, w);
#endif
  STOFM_AT_LEVEL(level, pack_weights(reinterpret_cast<float*>(out), w));
}
inline void linear_packed_bytes(CpuKernels level, TensorView<float> y, TensorView<const float> x,
                                const std::uint8_t* weights, const float* bias, LinearOptions options) {
  if (options.grade == MatmulGrade::bfloat16)
    return STOFM_AT_BFLOAT16(level, linear(y, x, reinterpret_cast<const float*>(weights), bias, options));
#if defined(STOFM_X86_KERNELS)
  if (level == CpuKernels::amx) return amx::linear(y, x, weights, bias, options);
#endif
  STOFM_AT_LEVEL(level, linear(y, x, reinterpret_cast<const float*>(weights), bias, options));
}
#endif

template <class T>
PackedWeights<T> pack_weights(Cpu, [[maybe_unused]] TensorView<const T> w,
                              [[maybe_unused]] MatmulGrade grade) {
  PackedWeights<T> packed;
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) {
    packed.level = cpu_kernels();
    packed.grade = grade;
    if (packed.level == CpuKernels::generic) return packed;
    packed.bytes = Tensor<std::uint8_t>(Shape{packed_weight_bytes(packed.level, w.dim(0), w.dim(1), grade)});
    pack_weights_into(packed.level, packed.bytes.data(), w, grade);
  }
#endif
  return packed;
}

/// x: [M, K], w: [N, K], bias: [N] or null, y: [M, N]; rows dense. `packed`: w packed before, or null.
template <class T>
void linear_packed(Cpu, TensorView<T> y, TensorView<const T> x, TensorView<const T> w, const T* bias,
                   [[maybe_unused]] const PackedWeights<T>* packed, LinearOptions options) {
  if (y.numel() == 0) return;
#if defined(STOFM_VECTOR_KERNELS)
  if constexpr (std::is_same_v<T, float>) {
    const CpuKernels level = cpu_kernels();
    if (level != CpuKernels::generic) {
      const std::uint8_t* weights = nullptr;
      if (packed != nullptr && packed->level == level && packed->grade == options.grade) {
        weights = packed->bytes.data();
      } else {
        std::uint8_t* made = scratch_bytes<2>(packed_weight_bytes(level, w.dim(0), w.dim(1), options.grade));
        pack_weights_into(level, made, w, options.grade);
        weights = made;
      }
      linear_packed_bytes(level, y, x, weights, bias, options);
      return;
    }
  }
#endif
  Tensor<T> rounded_x, rounded_w;
  if (options.grade == MatmulGrade::bfloat16) {
    round_operand(x, rounded_x);
    round_operand(w, rounded_w);
  }
  linear_generic(y, x, w, bias, options);
}

/// As linear_packed, packing the weights for this call.
template <class T>
void linear(Cpu device, TensorView<T> y, TensorView<const T> x, TensorView<const T> w, const T* bias,
            LinearOptions options) {
  linear_packed<T>(device, y, x, w, bias, nullptr, options);
}

STOFM_KERNEL_INSTANCES(linear_generic)
STOFM_KERNEL_INSTANCES(pack_weights)
STOFM_KERNEL_INSTANCES(linear_packed)
STOFM_KERNEL_INSTANCES(linear)

}  // namespace stofm::backend
