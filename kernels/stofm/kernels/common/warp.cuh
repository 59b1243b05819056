// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Collectives of a warp. All 32 lanes take part in each; the emulator stops a warp whose lanes disagree.
/// Sums add in a fixed tree (offsets 16, 8, 4, 2, 1), so every lane has the same bits at the end.

#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels {

inline constexpr unsigned all_lanes = 0xffffffffU;

/// Number of this thread within its warp, from its flat number in the block.
__device__ __forceinline__ int flat_thread() {
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}
__device__ __forceinline__ int lane() { return flat_thread() % warp_size; }
__device__ __forceinline__ int warp() { return flat_thread() / warp_size; }

#if defined(STOFM_KERNEL_EMULATOR)
namespace detail {
template <class T>
struct Shuffled {
  T value;
  int source;
};
template <class T>
T emulated_shuffle(const char* name, T value, int source) {
  return emulator::detail::collective<T>(name, Shuffled<T>{value, source},
                                         [](const auto& in, const auto& out) {
                                           for (int i = 0; i < warp_size; ++i) {
                                             const int from = in[i]->source;
                                             *out[i] = in[from >= 0 && from < warp_size ? from : i]->value;
                                           }
                                         });
}
}  // namespace detail
#endif

/// The value of lane `source` (modulo 32). T: 4 or 8 bytes.
template <class T>
__device__ __forceinline__ T shuffle(T value, int source) {
#if defined(__CUDA_ARCH__)
  return __shfl_sync(all_lanes, value, source);
#elif defined(STOFM_KERNEL_EMULATOR)
  return detail::emulated_shuffle("shuffle", value, source & 31);
#else
  return value;
#endif
}
/// The value of lane (this ^ mask).
template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int mask) {
#if defined(__CUDA_ARCH__)
  return __shfl_xor_sync(all_lanes, value, mask);
#elif defined(STOFM_KERNEL_EMULATOR)
  return detail::emulated_shuffle("shuffle_xor", value, lane() ^ mask);
#else
  return value;
#endif
}
/// Bit i: the predicate of lane i.
__device__ __forceinline__ std::uint32_t ballot(bool predicate) {
#if defined(__CUDA_ARCH__)
  return __ballot_sync(all_lanes, predicate);
#elif defined(STOFM_KERNEL_EMULATOR)
  return emulator::detail::collective<std::uint32_t>("ballot", predicate,
                                                     [](const auto& in, const auto& out) {
                                                       std::uint32_t bits = 0;
                                                       for (int i = 0; i < warp_size; ++i)
                                                         bits |= static_cast<std::uint32_t>(*in[i]) << i;
                                                       for (int i = 0; i < warp_size; ++i) *out[i] = bits;
                                                     });
#else
  return predicate ? 1U : 0U;
#endif
}
/// Barrier of the warp: writes to memory before it are seen by the lanes after it.
__device__ __forceinline__ void warp_sync() {
#if defined(__CUDA_ARCH__)
  __syncwarp();
#elif defined(STOFM_KERNEL_EMULATOR)
  emulator::detail::collective<int>("warp_sync", 0, [](const auto&, const auto&) {});
#endif
}
__device__ __forceinline__ int count_bits(std::uint32_t x) {
#if defined(__CUDA_ARCH__)
  return __popc(x);
#else
  return __builtin_popcount(x);
#endif
}

/// Sum over the lanes, in every lane. `width` a power of two: sums of each group of so many lanes.
template <class T>
__device__ __forceinline__ T warp_sum(T x, int width = warp_size) {
  STOFM_UNROLL
  for (int offset = warp_size / 2; offset > 0; offset /= 2)
    if (offset < width) x += shuffle_xor(x, offset);
  return x;
}
template <class T>
__device__ __forceinline__ T warp_max(T x, int width = warp_size) {
  STOFM_UNROLL
  for (int offset = warp_size / 2; offset > 0; offset /= 2)
    if (offset < width) x = maximum(x, shuffle_xor(x, offset));
  return x;
}
/// The same by larger(): numbers win over NaN.
__device__ __forceinline__ float warp_larger(float x, int width = warp_size) {
  STOFM_UNROLL
  for (int offset = warp_size / 2; offset > 0; offset /= 2)
    if (offset < width) x = larger(x, shuffle_xor(x, offset));
  return x;
}

}  // namespace stofm::kernels
