// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Host memory for tensors: one allocator, aligned, counted, capped, and with a hook for fault injection.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "stofm/core/checked.hpp"
#include "stofm/core/device.hpp"

namespace stofm {

/// Alignment of every tensor buffer: a cache line, and the width of an AVX-512 register.
inline constexpr std::size_t tensor_alignment = 64;

/// Counters and limits of the host allocator, process-wide. All fields may be read and set at any time.
struct MemoryState {
  std::atomic<std::int64_t> in_use{0};               ///< bytes held by tensors now
  std::atomic<std::int64_t> kept{0};                 ///< of these, what threads keep to work in (scratch.hpp)
  std::atomic<std::int64_t> peak{0};                 ///< largest value of in_use so far
  std::atomic<std::int64_t> cap{INT64_MAX};          ///< allocations that would exceed this are refused
  std::atomic<bool (*)(std::size_t)> fail{nullptr};  ///< test hook: return true to make this allocation fail
};
inline MemoryState& memory_state() {
  static MemoryState state;
  return state;
}

/// Bytes of host memory, 64-byte aligned, not initialised. `bytes` may be 0 (a null pointer comes back).
/// \throws ResourceError when the cap, the hook or the system says no.
inline void* allocate_bytes(Cpu, std::int64_t bytes) {
  if (bytes == 0) return nullptr;
  MemoryState& state = memory_state();
  const std::int64_t now = state.in_use.fetch_add(bytes) + bytes;
  auto refuse = [&](const char* why) {
    state.in_use.fetch_sub(bytes);
    throw ResourceError(
        {"STOFM-5001", "", "memory", concat(why, " for ", bytes, " more bytes with ", now - bytes, " in use"),
         concat("at most ", state.cap.load(), " bytes"),
         "Use smaller pieces (EmbedOptions::split), fewer threads, or raise memory_state().cap."});
  };
  if (now > state.cap.load()) refuse("no room under the memory cap");
  if (auto* fail = state.fail.load(); fail != nullptr && fail(static_cast<std::size_t>(bytes)))
    refuse("an injected failure");
  void* data =
      ::operator new (static_cast<std::size_t>(bytes), std::align_val_t{tensor_alignment}, std::nothrow);
  if (data == nullptr) refuse("no memory from the system");
  for (std::int64_t seen = state.peak.load(); seen < now && !state.peak.compare_exchange_weak(seen, now);) {
  }
  return data;
}

inline void release_bytes(Cpu, void* data, std::int64_t bytes) noexcept {
  if (data == nullptr) return;
  ::operator delete (data, std::align_val_t{tensor_alignment});
  memory_state().in_use.fetch_sub(bytes);
}

}  // namespace stofm
