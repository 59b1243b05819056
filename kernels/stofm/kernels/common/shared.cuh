// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The only way to shared memory: the dynamic block that the launch asked for, as one plain struct or as
/// bytes. Nothing in it is initialised (the emulator fills it with NaN).

#include <type_traits>

#include "stofm/kernels/common/platform.cuh"

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

}  // namespace stofm::kernels
