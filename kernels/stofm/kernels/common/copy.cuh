// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Copies: 16-byte loads and stores, and asynchronous copies from global to shared memory (cp.async).
/// An asynchronous copy is seen by the thread that made it after `copy_async_wait`, by others after a barrier
/// more.

#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels {

__host__ __device__ __forceinline__ bool is_aligned(const void* p, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

/// Four floats; `p` a multiple of 16 bytes.
__device__ __forceinline__ float4 load4(const float* p) {
#if defined(STOFM_KERNEL_EMULATOR)
  emulator::detail::require_aligned(p, 16, "load4");
#endif
  return *reinterpret_cast<const float4*>(p);
}
__device__ __forceinline__ void store4(float* p, float4 x) {
#if defined(STOFM_KERNEL_EMULATOR)
  emulator::detail::require_aligned(p, 16, "store4");
#endif
  *reinterpret_cast<float4*>(p) = x;
}

#if !defined(STOFM_KERNEL_EMULATOR)
/// Address of shared memory as the instructions want it.
__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}
#endif

/// Copies 16 bytes from global to shared memory, or zeros if not `valid` (`from` is not read then). Both
/// 16-byte aligned. Bypasses L1.
__device__ __forceinline__ void copy_async_16(void* to, const void* from, bool valid = true) {
#if defined(__CUDA_ARCH__)
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
#elif defined(STOFM_KERNEL_EMULATOR)
  emulator::detail::require_aligned(to, 16, "copy_async_16");
  if (valid) emulator::detail::require_aligned(from, 16, "copy_async_16");
  emulator::detail::queue_copy(to, from, 16, valid);
#else
  (void)to, (void)from, (void)valid;
#endif
}
/// The same for 4 bytes, 4-byte aligned.
__device__ __forceinline__ void copy_async_4(void* to, const void* from, bool valid = true) {
#if defined(__CUDA_ARCH__)
  const int bytes = valid ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes)
               : "memory");
#elif defined(STOFM_KERNEL_EMULATOR)
  emulator::detail::require_aligned(to, 4, "copy_async_4");
  if (valid) emulator::detail::require_aligned(from, 4, "copy_async_4");
  emulator::detail::queue_copy(to, from, 4, valid);
#else
  (void)to, (void)from, (void)valid;
#endif
}
/// Closes the group of this thread's copies so far.
__device__ __forceinline__ void copy_async_commit() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif defined(STOFM_KERNEL_EMULATOR)
  auto& me = emulator::detail::self();
  std::size_t grouped = 0;
  for (const std::size_t size : me.group_sizes) grouped += size;
  me.group_sizes.push_back(me.copies.size() - grouped);
#endif
}
/// Waits until at most `Left` of this thread's newest groups are under way.
template <int Left>
__device__ __forceinline__ void copy_async_wait() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
#elif defined(STOFM_KERNEL_EMULATOR)
  emulator::detail::perform_copies(emulator::detail::self(), static_cast<std::size_t>(Left));
#endif
}

}  // namespace stofm::kernels
