// SPDX-License-Identifier: MIT
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm {

void* allocate_bytes(Cuda device, std::int64_t bytes) { return kernels::allocate(device, bytes); }
void release_bytes(Cuda device, void* data, std::int64_t) noexcept { kernels::release(device, data); }

namespace backend {

int cuda_device_count() noexcept { return kernels::device_count(); }
CudaDeviceInfo cuda_device_info(Cuda device) { return kernels::device_info(device); }

CudaStream current_stream(Cuda device) { return kernels::thread_stream(device); }
void set_current_stream(Cuda device, CudaStream stream) {
  kernels::thread_streams().chosen[device.ordinal] = stream.handle;
}
CudaStream create_stream(Cuda device) { return kernels::make_stream(device); }
void destroy_stream(Cuda, CudaStream stream) noexcept {
  STOFM_CUDA_RELEASE(cudaStreamDestroy(kernels::native(stream)));
}
void synchronize(Cuda device, CudaStream stream) {
  kernels::use_device(device);
  STOFM_CUDA_CHECK(cudaStreamSynchronize(kernels::native(stream)));
}

void copy_rows(Cuda device, void* to, std::int64_t to_stride, const void* from, std::int64_t from_stride,
               std::int64_t row_bytes, std::int64_t rows, CopyDirection direction) {
  if (row_bytes == 0 || rows == 0) return;
  const cudaStream_t stream = kernels::native(current_stream(device));
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const cudaMemcpyKind kind = direction == CopyDirection::to_device ? cudaMemcpyHostToDevice
                              : direction == CopyDirection::to_host ? cudaMemcpyDeviceToHost
                                                                    : cudaMemcpyDeviceToDevice;
  if (rows == 1)
    STOFM_CUDA_CHECK(cudaMemcpyAsync(to, from, size(row_bytes), kind, stream));
  else
    STOFM_CUDA_CHECK(cudaMemcpy2DAsync(to, size(to_stride), from, size(from_stride), size(row_bytes),
                                       size(rows), kind, stream));
}
void fill_bytes(Cuda device, void* data, int value, std::int64_t bytes) {
  if (bytes == 0) return;
  const cudaStream_t stream = kernels::native(current_stream(device));
  STOFM_CUDA_CHECK(cudaMemsetAsync(data, value, static_cast<std::size_t>(bytes), stream));
}

void* allocate_pinned(Cuda device, std::int64_t bytes) {
  kernels::use_device(device);
  void* data = nullptr;
  STOFM_CUDA_CHECK(cudaMallocHost(&data, static_cast<std::size_t>(bytes)));
  return data;
}
void release_pinned(void* data) noexcept { STOFM_CUDA_RELEASE(cudaFreeHost(data)); }

}  // namespace backend
}  // namespace stofm
