// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The one way to launch a kernel:
///     launch(unit_rows_kernel, {.grid = {blocks(rows, 8)}, .block = {256}, .shared_bytes = 0,
///                               .stream = stream, .name = "unit_rows"}, params);
/// Kernels are `template <...> static __global__ void f(const Params params)` with a plain struct.

#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/kernels/common/check.cuh"
#include "stofm/kernels/common/scalar.cuh"

#if defined(STOFM_NVTX) && !defined(STOFM_KERNEL_EMULATOR)
#include <nvtx3/nvToolsExt.h>
#endif

namespace stofm::kernels {

using backend::CudaStream;

/// Where and how a kernel runs. An empty grid launches nothing.
struct LaunchConfig {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  CudaStream stream;      ///< always given, there is no default stream
  const char* name = "";  ///< for errors and, with STOFM_NVTX, for the profiler
};

inline cudaStream_t native(CudaStream stream) { return static_cast<cudaStream_t>(stream.handle); }

/// Blocks of `per_block` items each that cover `items`. \throws DeviceError STOFM-6008 past 2^31 - 1 blocks.
inline unsigned blocks(std::int64_t items, std::int64_t per_block = 1) {
  const std::int64_t count = items <= 0 ? 0 : (items - 1) / per_block + 1;
  if (count > 0x7fffffff)
    throw DeviceError({"STOFM-6008", "", "[launch]", concat(count, " blocks"), "at most 2^31 - 1",
                       "Use a smaller --batch or smaller pieces (--split)."});
  return static_cast<unsigned>(count);
}

/// A thread an item, 256 a block.
inline LaunchConfig per_item(std::int64_t items, CudaStream stream, const char* name) {
  return {.grid = {blocks(items, 256)}, .block = {256}, .stream = stream, .name = name};
}
/// A warp a row, `Policy::warps` a block.
template <class Policy>
LaunchConfig per_row(std::int64_t rows, CudaStream stream, const char* name) {
  return {.grid = {blocks(rows, Policy::warps)}, .block = {Policy::threads}, .stream = stream, .name = name};
}

namespace detail {
/// Whether there is anything to launch. \throws DeviceError STOFM-6008 for what no device can do.
inline bool check_launch(const LaunchConfig& config) {
  if (config.grid.x == 0 || config.grid.y == 0 || config.grid.z == 0) return false;
  const std::uint64_t threads = std::uint64_t{config.block.x} * config.block.y * config.block.z;
  if (config.grid.x > 0x7fffffffU || config.grid.y > 65535U || config.grid.z > 65535U)
    throw DeviceError(
        {"STOFM-6008", "", concat("[", config.name, "]"),
         concat("a grid of ", config.grid.x, " x ", config.grid.y, " x ", config.grid.z, " blocks"),
         "at most 2^31 - 1 x 65,535 x 65,535", "Use a smaller --batch or smaller pieces (--split)."});
  if (threads == 0 || threads > 1024 || threads % warp_size != 0 || config.shared_bytes > shared_limit_sm90)
    throw DeviceError(
        {"STOFM-6008", "", concat("[", config.name, "]"),
         concat(threads, " threads and ", config.shared_bytes, " bytes of shared memory in a block"),
         "whole warps, at most 1,024 threads and 227 KiB", "Please report this."});
  return true;
}
#if !defined(STOFM_KERNEL_EMULATOR)
/// Lets `kernel` have `bytes` of dynamic shared memory on the current device. What is allowed only grows: a
/// lower value would take it from a launch of another thread.
inline cudaError_t allow_shared(const void* kernel, std::size_t bytes) {
  static std::mutex guard;
  static std::map<std::pair<const void*, int>, std::size_t> allowed;
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);  // unchecked: by the caller
  if (error != cudaSuccess) return error;
  const std::lock_guard<std::mutex> lock(guard);
  std::size_t& most = allowed[{kernel, device}];
  if (bytes <= most) return cudaSuccess;
  error = cudaFuncSetAttribute(  // unchecked: by the caller
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (error == cudaSuccess) most = bytes;
  return error;
}
#endif
}  // namespace detail

/// Queues `kernel(params)`. \throws DeviceError if it can't be launched; errors of the run itself come with
/// a later call. *Host sync* none. Shared memory above 48 KiB is opted in.
template <class Params>
void launch(void (*kernel)(Params), const LaunchConfig& config,
            const std::type_identity_t<std::remove_const_t<Params>>& params) {
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= 4096,
                "a plain struct of at most 4 KiB");
  if (!detail::check_launch(config)) return;
#if defined(STOFM_KERNEL_EMULATOR)
  checked_cuda_call(config.name, [&] {
    return emulator::enqueue(native(config.stream), [kernel, config, params = params] {
      emulator::launch(kernel, config.grid, config.block, config.shared_bytes, params);
    });
  });
#else
#if defined(STOFM_NVTX)
  nvtxRangePushA(config.name);
#endif
  checked_cuda_call(config.name, [&] {
    if (config.shared_bytes > 48U * 1024U) {  // both results go to the check around this
      const cudaError_t error =
          detail::allow_shared(reinterpret_cast<const void*>(kernel), config.shared_bytes);
      if (error != cudaSuccess) return error;
    }
    kernel<<<config.grid, config.block, config.shared_bytes, native(config.stream)>>>(params);
    return cudaGetLastError();  // unchecked: here
  });
#if defined(STOFM_NVTX)
  nvtxRangePop();
#endif
#endif
}

}  // namespace stofm::kernels
