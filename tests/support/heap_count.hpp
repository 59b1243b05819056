// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Replaces operator new of a test program by one that counts, and that can fail the k-th allocation. Include
/// it in one translation unit only.

#include <cstdlib>
#include <new>

namespace stofm::test {

/// Bytes handed out by operator new now and at most, the number of calls, and the call that fails (0: none).
struct HeapCount {
  std::size_t now = 0, peak = 0, calls = 0, fail_at = 0;
  bool sticky = false;
  void restart() { peak = now, calls = 0; }
};
inline HeapCount& heap_count() {
  static HeapCount count;
  return count;
}

}  // namespace stofm::test

// Not inlined: the compiler would else see malloc and delete, or new and free, meet.
[[gnu::noinline]] void* operator new(std::size_t size) {
  auto& heap = stofm::test::heap_count();
  ++heap.calls;
  if (heap.fail_at != 0 && (heap.calls == heap.fail_at || (heap.sticky && heap.calls > heap.fail_at)))
    throw std::bad_alloc();
  auto* block = static_cast<std::size_t*>(std::malloc(size + 16));
  if (block == nullptr) throw std::bad_alloc();
  *block = size;
  heap.now += size;
  heap.peak = heap.now > heap.peak ? heap.now : heap.peak;
  return block + 2;
}
[[gnu::noinline]] void operator delete(void* pointer) noexcept {
  if (pointer == nullptr) return;
  auto* block = static_cast<std::size_t*>(pointer) - 2;
  stofm::test::heap_count().now -= *block;
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* pointer, std::size_t) noexcept { operator delete(pointer); }
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
[[gnu::noinline]] void operator delete(void* pointer, const std::nothrow_t&) noexcept {
  operator delete(pointer);
}
