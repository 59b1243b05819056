// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Working memory of a thread that is kept between calls: fresh pages cost more than the arithmetic done in
/// them.

#include <cstdint>

#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// At least `count` bytes of this thread's block `Slot`, 64-byte aligned, content undefined. Valid until the
/// next call with the same slot on this thread. \throws ResourceError.
template <int Slot>
std::uint8_t* scratch_bytes(std::int64_t count) {
  thread_local Tensor<std::uint8_t> block;
  if (block.numel() < count) {
    block = Tensor<std::uint8_t>();
    block = Tensor<std::uint8_t>(Shape{count + count / 4});
  }
  return block.data();
}

template <class T, int Slot>
T* scratch(std::int64_t count) {
  return reinterpret_cast<T*>(scratch_bytes<Slot>(checked_mul(count, sizeof(T), "scratch")));
}

}  // namespace stofm::backend
