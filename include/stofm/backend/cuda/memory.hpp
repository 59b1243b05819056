// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Device memory: `Tensor<T, Cuda>` works through the first two functions; copies between host and device.
/// Memory comes from the device's stream-ordered pool: neither call waits for the device, and what is given
/// back is kept for the next request. It belongs to the thread's current stream: work on another stream that
/// uses it must be ordered after the allocation and before the release.

#include <cstdint>
#include <string>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm {

/// `bytes` of device memory, 256-byte aligned, not initialised; null for 0.
/// \throws ResourceError STOFM-6003, with what is free, when there is not enough.
void* allocate_bytes(Cuda device, std::int64_t bytes);
void release_bytes(Cuda device, void* data, std::int64_t bytes) noexcept;

namespace backend {

enum class CopyDirection { to_device, to_host, on_device };

/// Queues the copy of `rows` rows of `row_bytes` bytes, `*_stride` bytes apart (>= row_bytes), on the current
/// stream. Host memory that is not pinned may be reused when this returns; pinned memory after `synchronize`.
void copy_rows(Cuda device, void* to, std::int64_t to_stride, const void* from, std::int64_t from_stride,
               std::int64_t row_bytes, std::int64_t rows, CopyDirection direction);
/// Queues setting every byte.
void fill_bytes(Cuda device, void* data, int value, std::int64_t bytes);

/// Pinned host memory, for copies that overlap with work on the device.
void* allocate_pinned(Cuda device, std::int64_t bytes);
void release_pinned(void* data) noexcept;

namespace detail {
template <class T, DeviceTag To, DeviceTag From>
void copy_views(Cuda device, const TensorView<T, To>& to, const TensorView<const T, From>& from,
                CopyDirection direction) {
  const bool rows_apart = to.rank() == 2 && (to.dim(1) <= 1 || to.stride(1) == 1) &&
                          (from.rank() != 2 || from.dim(1) <= 1 || from.stride(1) == 1);
  if (!(to.shape == from.shape) || !(rows_apart || (to.is_contiguous() && from.is_contiguous())))
    throw ShapeError({"STOFM-1101", "", "[copy]", concat(to_string(from.shape), " -> ", to_string(to.shape)),
                      "the same shape, both dense or matrices with dense rows", "Call contiguous() first."});
  const auto width = static_cast<std::int64_t>(sizeof(T));
  if (to.numel() == 0) return;
  if (to.is_contiguous() && from.is_contiguous())
    return copy_rows(device, to.data, to.numel() * width, from.data, to.numel() * width, to.numel() * width,
                     1, direction);
  // A matrix of one row may have any stride.
  const auto stride = [&](const auto& v) { return (v.dim(0) > 1 ? v.stride(0) : v.dim(1)) * width; };
  copy_rows(device, to.data, stride(to), from.data, stride(from), to.dim(1) * width, to.dim(0), direction);
}
}  // namespace detail

/// Queues a copy on the current stream of the device. *Shapes* equal; dense, or matrices with dense rows.
/// \throws ShapeError.
template <class T>
void copy_to_device(TensorView<T, Cuda> to, std::type_identity_t<TensorView<const T>> from) {
  detail::copy_views<T, Cuda, Cpu>(to.device, to, from, CopyDirection::to_device);
}
/// The numbers are there after `synchronize(current_stream(from.device))`.
template <class T>
void copy_to_host(TensorView<T> to, std::type_identity_t<TensorView<const T, Cuda>> from) {
  detail::copy_views<T, Cpu, Cuda>(from.device, to, from, CopyDirection::to_host);
}

/// A dense tensor on the device with the numbers of `host`.
template <class T>
Tensor<T, Cuda> to_device(const Tensor<T>& host, Cuda device) {
  Tensor<T, Cuda> result(host.shape(), device);
  copy_to_device<T>(result.view(), host.contiguous().view());
  return result;
}
/// A dense host tensor with the numbers of `from`; waits for them.
template <class T>
Tensor<T> to_host(const Tensor<T, Cuda>& from) {
  Tensor<T> result(from.shape());
  copy_to_host<T>(result.view(), from.view());
  synchronize(from.device(), current_stream(from.device()));
  return result;
}

}  // namespace backend
}  // namespace stofm
