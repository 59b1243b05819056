// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The only place where the library talks to the file system: thin wrappers of the POSIX calls with one hook
/// that lets a test make the k-th call fail, and one function that turns an errno into an Error.
///
/// EINTR is retried here, so no caller ever sees it. SIGPIPE and SIGXFSZ (file-size limit) never end the
/// process: a write reports EPIPE or EFBIG instead.

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "stofm/core/error.hpp"
#include "stofm/io/platform.hpp"

namespace stofm::io {

/// Kinds of calls that a test can make fail.
enum class IoCall { open, stat, read, write, sync, rename, remove, close };

/// What the hook asks for. `error` != 0: the call fails with that errno, nothing is done (close still
/// closes). `at_most`: a read or write transfers no more bytes than this (a short count).
struct IoFault {
  int error = 0;
  std::int64_t at_most = INT64_MAX;
};

/// Test hook, process-wide, nullptr outside tests: called before every system call of this layer, from any
/// thread.
using IoFaultHook = IoFault (*)(IoCall call);
inline std::atomic<IoFaultHook>& io_fault_hook() {
  static std::atomic<IoFaultHook> hook{nullptr};
  return hook;
}

/// "No such file or directory" for ENOENT.
inline std::string errno_text(int error) { return std::generic_category().message(error); }

namespace detail {

/// Asks the hook. Returns the fault to apply (the default one: none).
inline IoFault injected(IoCall call) {
  const IoFaultHook hook = io_fault_hook().load(std::memory_order_acquire);
  return hook == nullptr ? IoFault{} : hook(call);
}

/// Runs `call` until it is not interrupted; an injected errno counts as its result.
template <class Function>
auto retried(IoCall kind, Function&& call) -> decltype(call(IoFault{})) {
  for (;;) {
    const IoFault fault = injected(kind);
    decltype(call(fault)) result = -1;
    if (fault.error != 0)
      errno = fault.error;
    else
      result = call(fault);
    if (result >= 0 || errno != EINTR) return result;
  }
}

inline int open_file(const std::string& path, int flags, mode_t mode = 0666) {
  return retried(IoCall::open, [&](IoFault) { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
}
inline int stat_descriptor(int descriptor, struct stat& status) {
  return retried(IoCall::stat, [&](IoFault) { return ::fstat(descriptor, &status); });
}
inline int stat_path(const std::string& path, struct stat& status) {
  return retried(IoCall::stat, [&](IoFault) { return ::stat(path.c_str(), &status); });
}
inline std::int64_t read_at(int descriptor, void* data, std::int64_t count, std::int64_t offset) {
  return retried(IoCall::read, [&](IoFault fault) {
    const auto wanted = static_cast<std::size_t>(count < fault.at_most ? count : fault.at_most);
    return static_cast<std::int64_t>(::pread(descriptor, data, wanted, static_cast<off_t>(offset)));
  });
}
inline int sync_descriptor(int descriptor) {
  return retried(IoCall::sync, [&](IoFault) { return platform::sync_to_disk(descriptor); });
}
/// Never retried: on Linux the descriptor is gone even after EINTR.
inline int close_descriptor(int descriptor) {
  const IoFault fault = injected(IoCall::close);
  const int result = ::close(descriptor);
  if (fault.error != 0 && fault.error != EINTR) {
    errno = fault.error;
    return -1;
  }
  return result < 0 && errno == EINTR ? 0 : result;
}
/// Owns a descriptor; closes it without a word if nobody did before.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor() {
    if (value_ >= 0) close_descriptor(value_);
  }
  int get() const { return value_; }
  bool valid() const { return value_ >= 0; }
  /// Closes and says whether that worked.
  int close() { return close_descriptor(std::exchange(value_, -1)); }

 private:
  int value_;
};

inline int remove_file(const std::string& path) {
  return retried(IoCall::remove, [&](IoFault) { return ::unlink(path.c_str()); });
}
enum class RenameMode { replace, keep_existing, exchange };
/// `keep_existing` fails with EEXIST, `exchange` swaps the two names; both may fail with EINVAL or ENOSYS
/// where the file system has no such operation.
inline int rename_file(const std::string& from, const std::string& to, RenameMode mode) {
  return retried(IoCall::rename, [&](IoFault) {
    if (mode == RenameMode::replace) return ::rename(from.c_str(), to.c_str());
    return platform::rename_by_rule(
        from.c_str(), to.c_str(),
        mode == RenameMode::exchange ? platform::RenameRule::exchange : platform::RenameRule::keep_existing);
  });
}

/// While it lives, SIGPIPE and SIGXFSZ caused by this thread's writes are held back and then dropped.
class HeldWriteSignals {
 public:
  HeldWriteSignals() {
    sigset_t pending;
    sigemptyset(&mine_);
    sigemptyset(&pending);
    ::sigpending(&pending);
    for (const int signal : {SIGPIPE, SIGXFSZ})
      if (sigismember(&pending, signal) == 0) sigaddset(&mine_, signal);
    ::pthread_sigmask(SIG_BLOCK, &mine_, &before_);
  }
  HeldWriteSignals(const HeldWriteSignals&) = delete;
  HeldWriteSignals& operator=(const HeldWriteSignals&) = delete;
  ~HeldWriteSignals() {
    const int kept = errno;
    if (kept == EPIPE || kept == EFBIG) platform::drop_pending_signals(mine_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = kept;
  }

 private:
  sigset_t mine_{}, before_{};
};

/// One write at the descriptor's position (works for pipes and devices too).
inline std::int64_t write_some(int descriptor, const void* data, std::int64_t count) {
  return retried(IoCall::write, [&](IoFault fault) {
    const HeldWriteSignals held;
    const auto wanted = static_cast<std::size_t>(count < fault.at_most ? count : fault.at_most);
    errno = 0;
    return static_cast<std::int64_t>(::write(descriptor, data, wanted));
  });
}

/// A failed call as an exception. Full disks, quotas, limits and I/O errors are ResourceError (exit 5); a
/// path that can not be opened is a FileError (exit 3).
[[noreturn]] inline void throw_errno(int error, const std::string& path, const std::string& action) {
  const std::string found = errno_text(error);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    throw ResourceError({"STOFM-5011", path, action, found, "room for the output",
                         "Free some space, raise the quota or file-size limit, or write to another disk."});
  if (error == EMFILE || error == ENFILE || error == ENOMEM)
    throw ResourceError({"STOFM-5012", path, action, found, "a free file handle and memory",
                         "Close other files or raise the limit (ulimit -n)."});
  if (action == "open")
    throw FileError({"STOFM-3001", path, action, found, "a file that can be read",
                     error == EACCES || error == EPERM ? "Check the permissions." : "Check the path."});
  throw ResourceError({"STOFM-5010", path, action, found, "a working file system",
                       error == EPIPE ? "Keep the reading program running."
                                      : "Check the disk or network drive and run again."});
}

/// Runs `work`; if memory runs out in it, that is an Error about `path` like any other.
template <class Path, class Work>
decltype(auto) with_memory_errors(const Path& path, Work&& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    throw ResourceError({"STOFM-5013", std::filesystem::path(path).string(), "memory",
                         "no memory from the system", "memory in proportion to the file",
                         "Use a machine with more memory, or end other programs."});
  }
}

/// "a directory", "a FIFO", ... for messages.
inline const char* kind_of_file(mode_t mode) {
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "a special file";
}

}  // namespace detail
}  // namespace stofm::io
