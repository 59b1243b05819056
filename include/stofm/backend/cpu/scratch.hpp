// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Working memory of a thread that is kept between calls: fresh pages cost more than the arithmetic done in
/// them.

#include <cstdint>

#include "stofm/core/tensor.hpp"

namespace stofm::backend {

namespace detail {
/// The block of one thread and slot. Which threads have one depends on who took which chunk of a loop, so its
/// bytes are counted apart (MemoryState::kept).
class KeptBlock {
 public:
  KeptBlock() = default;
  KeptBlock(const KeptBlock&) = delete;
  KeptBlock& operator=(const KeptBlock&) = delete;
  ~KeptBlock() { drop(); }
  std::uint8_t* at_least(std::int64_t count) {
    if (block_.numel() < count) {
      drop();
      block_ = Tensor<std::uint8_t>(Shape{count + count / 4});
      memory_state().kept += block_.numel();
    }
    return block_.data();
  }

 private:
  void drop() {
    memory_state().kept -= block_.numel();
    block_ = Tensor<std::uint8_t>();
  }
  Tensor<std::uint8_t> block_;
};
}  // namespace detail

/// At least `count` bytes of this thread's block `Slot`, 64-byte aligned, content undefined. Valid until the
/// next call with the same slot on this thread. \throws ResourceError.
template <int Slot>
std::uint8_t* scratch_bytes(std::int64_t count) {
  thread_local detail::KeptBlock block;
  return block.at_least(count);
}

template <class T, int Slot>
T* scratch(std::int64_t count) {
  return reinterpret_cast<T*>(scratch_bytes<Slot>(checked_mul(count, sizeof(T), "scratch")));
}

}  // namespace stofm::backend
