// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Fibers for the kernel emulator: a stack each, switched by hand (x86-64) or by ucontext (elsewhere), known
/// to AddressSanitizer and to ThreadSanitizer, to which every fiber is a thread.

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define STOFM_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STOFM_FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define STOFM_FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STOFM_FIBER_TSAN 1
#endif
#endif
#if defined(STOFM_FIBER_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
void __tsan_read_range(void* address, std::size_t bytes);
void __tsan_write_range(void* address, std::size_t bytes);
}
#endif
#if defined(STOFM_FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__x86_64__)
// Saves the callee-saved registers on the stack that is left and restores those of the other one.
extern "C" void stofm_switch_stack(void** from, void* to);
asm(R"(
.pushsection .text
.weak stofm_switch_stack
.type stofm_switch_stack,@function
stofm_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size stofm_switch_stack,.-stofm_switch_stack
.popsection
)");
#endif

namespace emulator::detail {

#if defined(STOFM_FIBER_ASAN)
inline constexpr std::size_t fiber_stack_bytes = 512 * 1024;
#else
inline constexpr std::size_t fiber_stack_bytes = 128 * 1024;
#endif

// ThreadSanitizer sees the accesses of the kernels and what a barrier orders, nothing else: the emulator's
// own accesses are unseen, and switching fibers orders nothing.
#if defined(STOFM_FIBER_TSAN)
struct Unseen {
  Unseen() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unseen() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;
};
inline void release_to(void* mark) { __tsan_release(mark); }
inline void acquire_from(void* mark) { __tsan_acquire(mark); }
inline void seen_read(const void* at, std::size_t bytes) { __tsan_read_range(const_cast<void*>(at), bytes); }
inline void seen_write(void* at, std::size_t bytes) { __tsan_write_range(at, bytes); }
inline constexpr bool races_are_seen = true;
#else
struct Unseen {
  Unseen() {}
  ~Unseen() {}
};
inline void release_to(void*) {}
inline void acquire_from(void*) {}
inline void seen_read(const void*, std::size_t) {}
inline void seen_write(void*, std::size_t) {}
inline constexpr bool races_are_seen = false;
#endif

/// A stack with an unreadable page below it.
class FiberStack {
 public:
  FiberStack()
      : base_(static_cast<char*>(mmap(nullptr, fiber_stack_bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    mprotect(base_, 4096, PROT_NONE);
  }
  ~FiberStack() {
    unpoison(fiber_stack_bytes);
    munmap(base_, fiber_stack_bytes);
  }
  FiberStack(const FiberStack&) = delete;
  FiberStack& operator=(const FiberStack&) = delete;
  char* end() const { return base_ + fiber_stack_bytes; }
  char* base() const { return base_; }
  /// The topmost bytes may be used afresh.
  void unpoison([[maybe_unused]] std::size_t bytes) const {
#if defined(STOFM_FIBER_ASAN)
    __asan_unpoison_memory_region(end() - bytes, bytes);
#endif
  }

 private:
  char* base_;
};

struct Fiber {
  std::unique_ptr<FiberStack> stack;  ///< none for the one that the OS started
  std::function<void()> body;
  void* fake_stack = nullptr;
  const void* known_base = nullptr;  ///< bounds, for AddressSanitizer
  std::size_t known_bytes = 0;
  bool abandoned = false;
#if defined(STOFM_FIBER_TSAN)
  void* thread = nullptr;  ///< as ThreadSanitizer knows it
  bool own_thread = false;
  Fiber() = default;
  Fiber(Fiber&& other) noexcept = default;
  ~Fiber() {
    if (own_thread) __tsan_destroy_fiber(thread);
  }
#endif
#if defined(__x86_64__)
  void* top = nullptr;
#else
  ucontext_t context;
#endif
};

/// The fiber that is being entered, and the one that was left.
struct FiberSwitch {
  Fiber* from = nullptr;
  Fiber* to = nullptr;
};
inline FiberSwitch fiber_switch;

/// First thing on the new stack.
inline void fiber_arrived([[maybe_unused]] void* fake_stack) {
#if defined(STOFM_FIBER_ASAN)
  Fiber& from = *fiber_switch.from;
  __sanitizer_finish_switch_fiber(fake_stack, &from.known_base, &from.known_bytes);
#endif
}

inline void fiber_entry() {
  fiber_arrived(nullptr);
  fiber_switch.to->body();
  std::abort();  // the body leaves by leave_fiber
}

__attribute__((no_sanitize("thread"))) inline void switch_with(Fiber& from, Fiber& to,
                                                               [[maybe_unused]] void** fake_stack) {
  fiber_switch = {&from, &to};
#if defined(STOFM_FIBER_TSAN)
  if (from.thread == nullptr) from.thread = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.thread, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(STOFM_FIBER_ASAN)
  __sanitizer_start_switch_fiber(fake_stack, to.known_base, to.known_bytes);
#endif
#if defined(__x86_64__)
  stofm_switch_stack(&from.top, to.top);
#else
  swapcontext(&from.context, &to.context);
#endif
  fiber_arrived(from.fake_stack);
}

/// Continues `to`; comes back when somebody switches to `from`.
inline void switch_fiber(Fiber& from, Fiber& to) { switch_with(from, to, &from.fake_stack); }

/// Continues `to` for the last time from this fiber.
inline void leave_fiber(Fiber& from, Fiber& to) { switch_with(from, to, nullptr); }

/// Prepares `body` to run on a stack of its own at the first switch to `fiber`.
template <class Body>
void start_fiber(Fiber& fiber, const Body& body) {
  if (!fiber.stack) fiber.stack = std::make_unique<FiberStack>();
  fiber.stack->unpoison(fiber.abandoned ? fiber_stack_bytes : 8192);
  fiber.abandoned = false;
#if defined(STOFM_FIBER_TSAN)
  fiber.thread = __tsan_create_fiber(0);
  fiber.own_thread = true;
#endif
  fiber.body = body;
  fiber.fake_stack = nullptr;
  fiber.known_base = fiber.stack->base();
  fiber.known_bytes = fiber_stack_bytes;
#if defined(__x86_64__)
  auto address = reinterpret_cast<std::uintptr_t>(fiber.stack->end()) - 64;
  auto* slots = reinterpret_cast<std::uintptr_t*>(address - address % 16);
  for (int i = 0; i < 8; ++i) slots[i] = 0;  // six registers, the entry, no return address
  slots[6] = reinterpret_cast<std::uintptr_t>(&fiber_entry);
  fiber.top = slots;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack->base();
  fiber.context.uc_stack.ss_size = fiber_stack_bytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, &fiber_entry, 0);
#endif
}

/// What is on its stack is given up; start_fiber may use it again.
inline void abandon_fiber(Fiber& fiber) {
  fiber.abandoned = true;
#if defined(STOFM_FIBER_TSAN)
  fiber.own_thread = false;  // it has not come to its end
#endif
}

}  // namespace emulator::detail
