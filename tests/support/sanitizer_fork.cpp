// SPDX-License-Identifier: MIT
// Linked into every executable of the sanitizer build: fork() with AddressSanitizer's locks at rest.
//
// glibc sees to it that a child of fork() finds malloc's locks free. AddressSanitizer has its own allocator, and before
// LLVM 18 it did not: a child forked while another thread allocated could wait for a lock that nobody holds, which
// showed as "no sign of life from libhdf5" when slices were read beside training. This does what LLVM 18's
// InstallAtForkHandler (compiler-rt, asan_posix.cpp) does. The functions are in clang's static runtime and not declared
// anywhere; where they are missing (g++'s shared one), fork() stays as it was.
#include <pthread.h>

namespace __lsan {  // NOLINT(bugprone-reserved-identifier)
[[gnu::weak]] void LockThreadRegistry();
[[gnu::weak]] void UnlockThreadRegistry();
[[gnu::weak]] void LockAllocator();
[[gnu::weak]] void UnlockAllocator();
}  // namespace __lsan

namespace __sanitizer {  // NOLINT(bugprone-reserved-identifier)
[[gnu::weak]] void StackDepotLockAll();
[[gnu::weak]] void StackDepotUnlockAll();
}  // namespace __sanitizer

namespace {

bool all_there() {
  return __lsan::LockThreadRegistry != nullptr && __lsan::UnlockThreadRegistry != nullptr &&
         __lsan::LockAllocator != nullptr && __lsan::UnlockAllocator != nullptr &&
         __sanitizer::StackDepotLockAll != nullptr && __sanitizer::StackDepotUnlockAll != nullptr;
}

void lock() {
  __lsan::LockThreadRegistry();
  __lsan::LockAllocator();
  __sanitizer::StackDepotLockAll();
}

void unlock() {
  __sanitizer::StackDepotUnlockAll();
  __lsan::UnlockAllocator();
  __lsan::UnlockThreadRegistry();
}

[[gnu::constructor]] void install() {
  if (all_there()) ::pthread_atfork(lock, unlock, unlock);
}

}  // namespace
