// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Device memory of the host code of clustering and graph building: arrays that own theirs, and pieces cut
/// from a workspace. Copies are queued on the thread's current stream.

#include <cstdint>
#include <type_traits>
#include <vector>

#include "stofm/backend/cuda/memory.hpp"

namespace stofm::kernels {

/// `count` values on the device, not initialised; given back to the pool at the end of its life.
template <class T>
class TransferArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  TransferArray(Cuda device, std::int64_t count)
      : device_(device), count_(count), data_(static_cast<T*>(allocate_bytes(device, bytes()))) {}
  TransferArray(Cuda device, const T* host, std::int64_t count) : TransferArray(device, count) {
    upload(host, count);
  }
  TransferArray(const TransferArray&) = delete;
  TransferArray& operator=(const TransferArray&) = delete;
  ~TransferArray() { release_bytes(device_, data_, bytes()); }

  T* data() const { return data_; }
  std::int64_t size() const { return count_; }
  std::int64_t bytes() const { return checked_mul(count_, sizeof(T), "device array"); }

  void upload(const T* host, std::int64_t count) const {
    const std::int64_t size = count * static_cast<std::int64_t>(sizeof(T));
    backend::copy_rows(device_, data_, size, host, size, size, 1, backend::CopyDirection::to_device);
  }
  /// Waits.
  void download(T* host, std::int64_t count, std::int64_t from = 0) const {
    const std::int64_t size = count * static_cast<std::int64_t>(sizeof(T));
    backend::copy_rows(device_, host, size, data_ + from, size, size, 1, backend::CopyDirection::to_host);
    backend::synchronize(device_, backend::current_stream(device_));
  }
  std::vector<T> to_host() const {
    std::vector<T> host(static_cast<std::size_t>(count_));
    if (count_ > 0) download(host.data(), count_);
    return host;
  }

 private:
  Cuda device_;
  std::int64_t count_;
  T* data_;
};

/// Cuts a workspace in pieces of 256 bytes and more. Without memory it counts what would be needed.
class WorkspaceCutter {
 public:
  explicit WorkspaceCutter(void* memory = nullptr) : memory_(static_cast<unsigned char*>(memory)) {}
  template <class T>
  T* take(std::int64_t count) {
    unsigned char* piece = memory_ == nullptr ? nullptr : memory_ + bytes_;
    bytes_ = checked_add(bytes_, (checked_mul(count, sizeof(T), "workspace") + 255) / 256 * 256, "workspace");
    return reinterpret_cast<T*>(piece);
  }
  std::int64_t bytes() const { return bytes_; }

 private:
  unsigned char* memory_;
  std::int64_t bytes_ = 0;
};

}  // namespace stofm::kernels
