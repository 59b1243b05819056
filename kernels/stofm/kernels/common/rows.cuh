// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Matrices with dense rows as kernels see them, a warp a row.

#include "stofm/core/tensor.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/warp.cuh"

namespace stofm::kernels {

/// A warp walks its row, lane l columns l, l + 32, ...: reads and writes of a warp are next to each other.
/// Later walks over the same row come from the caches. (Rows in registers: encoder_block/policy.hpp.)
struct RowPolicy {
  static constexpr int warps = 8;  ///< rows per block
  static constexpr int threads = warps * 32;
};

/// [rows, columns], rows `stride` elements apart.
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t stride = 0;
  __device__ __forceinline__ T* row(std::int64_t i) const { return data + i * stride; }
};
template <class T, DeviceTag D>
Rows<T> rows_of(const TensorView<T, D>& view) {
  return {view.data, view.data == nullptr || view.rank() < 2 ? 0 : view.stride(0)};
}

/// The row of this warp.
template <class Policy>
__device__ __forceinline__ std::int64_t row_of_warp() {
  return std::int64_t{blockIdx.x} * Policy::warps + warp();
}

}  // namespace stofm::kernels
