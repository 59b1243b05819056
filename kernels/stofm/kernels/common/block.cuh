// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the threads of a block share. Barriers and reductions: every thread of the block takes part; none may
/// have returned. Shared memory: the dynamic block that the launch asked for, as one plain struct or as bytes,
/// is the only way to it; nothing in it is initialised (the emulator fills it with NaN).

#include <type_traits>

#include "stofm/kernels/common/platform.cuh"
#include "stofm/kernels/common/warp.cuh"

namespace stofm::kernels {

#if !defined(STOFM_KERNEL_EMULATOR)
extern __shared__ __align__(128) unsigned char stofm_dynamic_shared[];
#endif

/// Start of the block's shared memory, 128-byte aligned.
__device__ __forceinline__ unsigned char* shared_bytes() {
#if defined(STOFM_KERNEL_EMULATOR)
  return reinterpret_cast<unsigned char*>(emulator::detail::block().shared);
#else
  return stofm_dynamic_shared;
#endif
}

/// The block's shared memory as a `Storage` (a plain struct of arrays); launch with sizeof(Storage) bytes.
template <class Storage>
__device__ __forceinline__ Storage& shared_memory() {
  static_assert(std::is_trivially_default_constructible_v<Storage> && alignof(Storage) <= 128,
                "a plain struct");
#if defined(STOFM_KERNEL_EMULATOR)
  if (emulator::detail::block().shared_bytes < sizeof(Storage))
    emulator::detail::violate("the kernel needs " + std::to_string(sizeof(Storage)) +
                              " bytes of shared memory, the launch gave " +
                              std::to_string(emulator::detail::block().shared_bytes));
#endif
  return *reinterpret_cast<Storage*>(shared_bytes());
}

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
