// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Device memory from the stream-ordered pool of the device, which keeps what is given back.

#include <atomic>
#include <vector>

#include "stofm/backend/cuda/memory.hpp"
#include "stofm/kernels/runtime/stream.cuh"

namespace stofm::kernels {

/// Lets the pool keep freed memory instead of giving it back to the driver at every synchronisation. Once per
/// device.
inline void keep_pool(Cuda device) {
  static std::atomic<std::uint64_t> done{0};
  const std::uint64_t bit = std::uint64_t{1} << (device.ordinal % 64);
  if ((done.load() & bit) != 0) return;
  cudaMemPool_t pool = nullptr;
  std::uint64_t all = UINT64_MAX;
  STOFM_CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, device.ordinal));
  STOFM_CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all));
  done.fetch_or(bit);
}

/// What the error says when `bytes` can't be had.
[[noreturn]] inline void throw_no_room(std::int64_t bytes) {
  std::size_t unused = 0, total = 0;
  (void)cudaGetLastError();               // unchecked: on the way to an error already
  (void)cudaMemGetInfo(&unused, &total);  // unchecked: as above; zeros then
  const auto mib = [](std::uint64_t b) { return b >> 20; };
  throw ResourceError({"STOFM-6003", "", "device memory",
                       concat("no room for ", mib(static_cast<std::uint64_t>(bytes) + (1U << 20) - 1),
                              " MiB more: ", mib(unused), " of ", mib(total), " MiB are free"),
                       concat("at most ", mib(unused), " MiB"),
                       "Use a smaller --batch or smaller pieces (--split), or another device."});
}

inline void* allocate(Cuda device, std::int64_t bytes) {
  if (bytes == 0) return nullptr;
  const CudaStream stream = thread_stream(device);
  keep_pool(device);
  void* data = nullptr;
  try {
    STOFM_CUDA_CHECK(cudaMallocAsync(&data, static_cast<std::size_t>(bytes), native(stream)));
  } catch (const ResourceError&) {
    throw_no_room(bytes);
  }
  return data;
}
inline void release(Cuda device, void* data) noexcept {
  if (data == nullptr) return;
  try {
    STOFM_CUDA_RELEASE(cudaFreeAsync(data, native(thread_stream(device))));
  } catch (...) {  // the device is gone, and its memory with it
  }
}

/// Elements on the device for as long as it lives, ordered on the stream it was made on: workspace of an op,
/// or what a runner owns. Not initialised.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Cuda device, std::int64_t count)
      : device_(device),
        count_(count),
        data_(static_cast<T*>(
            allocate(device, checked_mul(count, static_cast<std::int64_t>(sizeof(T)), "elements")))) {}
  DeviceArray(Cuda device, const T* host, std::int64_t count) : DeviceArray(device, count) {
    upload(host, count);
  }
  DeviceArray(DeviceArray&& other) noexcept
      : device_(other.device_),
        count_(std::exchange(other.count_, 0)),
        data_(std::exchange(other.data_, nullptr)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(count_, other.count_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~DeviceArray() { release(device_, data_); }

  T* data() const { return data_; }
  std::int64_t size() const { return count_; }
  std::int64_t bytes() const { return count_ * static_cast<std::int64_t>(sizeof(T)); }
  /// At least `count` elements; what was there is lost if it grows.
  void reserve(Cuda device, std::int64_t count) {
    if (count > count_) {
      *this = DeviceArray();
      *this = DeviceArray(device, count);
    }
  }

  /// Queues the copy. `host` may be written again when this returns, unless it is pinned.
  void upload(const T* host, std::int64_t count) const {
    const std::int64_t size = count * static_cast<std::int64_t>(sizeof(T));
    backend::copy_rows(device_, data_, size, host, size, size, 1, backend::CopyDirection::to_device);
  }
  /// Waits.
  void download(T* host, std::int64_t count) const {
    const std::int64_t size = count * static_cast<std::int64_t>(sizeof(T));
    backend::copy_rows(device_, host, size, data_, size, size, 1, backend::CopyDirection::to_host);
    backend::synchronize(device_, thread_stream(device_));
  }
  std::vector<T> to_host() const {
    std::vector<T> host(static_cast<std::size_t>(count_));
    if (count_ > 0) download(host.data(), count_);
    return host;
  }

 private:
  Cuda device_{};
  std::int64_t count_ = 0;
  T* data_ = nullptr;
};

/// Cuts one block of memory into arrays, 256-byte aligned. Without memory it only counts.
class Arena {
 public:
  explicit Arena(void* base = nullptr) : base_(static_cast<std::byte*>(base)) {}
  std::byte* bytes(std::int64_t count) {
    std::byte* const at = base_ != nullptr ? base_ + used_ : nullptr;
    used_ = checked_add(used_, (count + 255) / 256 * 256, "workspace");
    return at;
  }
  template <class T>
  T* take(std::int64_t count) {
    return reinterpret_cast<T*>(bytes(checked_mul(count, static_cast<std::int64_t>(sizeof(T)), "workspace")));
  }
  template <class T>
  void take(T*& to, std::int64_t count) {
    to = take<T>(count);
  }
  std::int64_t used() const { return used_; }

 private:
  std::byte* base_;
  std::int64_t used_ = 0;
};

}  // namespace stofm::kernels
