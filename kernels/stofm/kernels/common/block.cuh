// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Barriers and reductions of a block. Every thread of the block takes part; none may have returned.

#include "stofm/kernels/common/warp.cuh"

namespace stofm::kernels {

/// Barrier of the whole block; orders accesses to shared and global memory within it.
__device__ __forceinline__ void block_sync() {
#if defined(__CUDA_ARCH__)
  __syncthreads();
#elif defined(STOFM_KERNEL_EMULATOR)
  emulator::detail::barrier(0, 0);
#endif
}

/// Sum over the block, in every thread: within warps, then over the warps in ascending order. `scratch`: one
/// T per warp, in shared memory; it may be used again after the next barrier. Two barriers.
template <class T>
__device__ __forceinline__ T block_sum(T x, T* scratch) {
  const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z) / warp_size;
  x = warp_sum(x);
  block_sync();  // whoever still reads scratch from before
  if (lane() == 0) scratch[warp()] = x;
  block_sync();
  T total = scratch[0];
  for (int w = 1; w < warps; ++w) total += scratch[w];
  return total;
}
template <class T>
__device__ __forceinline__ T block_max(T x, T* scratch) {
  const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z) / warp_size;
  x = warp_max(x);
  block_sync();
  if (lane() == 0) scratch[warp()] = x;
  block_sync();
  T largest = scratch[0];
  for (int w = 1; w < warps; ++w) largest = maximum(largest, scratch[w]);
  return largest;
}

}  // namespace stofm::kernels
