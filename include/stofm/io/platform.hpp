// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// System calls that Linux, other systems and older C libraries have under different names, or not at all.
/// The branches for macOS are written from its documentation and were never compiled.

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>
#if defined(__linux__)
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <copyfile.h>
#endif

namespace stofm::io::platform {

/// Closes every descriptor from 3 on but `keep`, one by one: those that /proc or /dev lists, else as many as
/// there may be.
inline void close_listed_descriptors_except(int keep) {
#if defined(__linux__)
  constexpr const char* folder = "/proc/self/fd";
#else
  constexpr const char* folder = "/dev/fd";
#endif
  std::vector<int> open;
  if (DIR* const entries = ::opendir(folder); entries != nullptr) {
    while (const dirent* const entry = ::readdir(entries)) open.push_back(std::atoi(entry->d_name));
    ::closedir(entries);
  } else {
    const long most = ::sysconf(_SC_OPEN_MAX);
    for (int descriptor = 3; descriptor < (most > 0 && most < 65536 ? most : 65536); ++descriptor)
      open.push_back(descriptor);
  }
  for (const int descriptor : open)
    if (descriptor > 2 && descriptor != keep) ::close(descriptor);
}

/// Closes every descriptor from 3 on but `keep`. For a child after fork.
inline void close_descriptors_except(int keep) {
#if defined(SYS_close_range)  // the call, as glibc before 2.34 and musl have no function; Linux has it
                              // from 5.9
  const auto close_range = [](std::int64_t first, std::int64_t last) {
    return first > last ||
           ::syscall(SYS_close_range, static_cast<unsigned>(first), static_cast<unsigned>(last), 0U) == 0;
  };
  if (close_range(3, keep - 1) && close_range(keep < 3 ? 3 : keep + 1, UINT_MAX)) return;
#endif
  close_listed_descriptors_except(keep);
}

/// Two connected stream sockets that programs started later do not inherit. \return 0, or -1 and errno
inline int socket_pair(int (&ends)[2]) {
#if defined(SOCK_CLOEXEC)
  return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
#else
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -1;
  for (const int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
#if defined(SO_NOSIGPIPE)
    const int yes = 1;
    ::setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
  }
  return 0;
#endif
}

/// ::send without SIGPIPE on a socket of socket_pair.
inline ssize_t send_without_signal(int socket, const void* bytes, std::size_t size) {
#if defined(MSG_NOSIGNAL)
  return ::send(socket, bytes, size, MSG_NOSIGNAL);
#else
  return ::send(socket, bytes, size, 0);  // SO_NOSIGPIPE was set
#endif
}

/// Takes the signals of `set`, which this thread has blocked, off the list of pending ones.
inline void drop_pending_signals(const sigset_t& set) {
#if defined(__APPLE__)
  for (int signal = 1; signal < NSIG; ++signal) {
    sigset_t pending, one;
    ::sigpending(&pending);
    if (sigismember(&set, signal) != 1 || sigismember(&pending, signal) != 1) continue;
    sigemptyset(&one);
    sigaddset(&one, signal);
    int taken = 0;
    ::sigwait(&one, &taken);
  }
#else
  const timespec no_wait{};
  while (::sigtimedwait(&set, nullptr, &no_wait) > 0) {
  }
#endif
}

/// ::fsync; on macOS that leaves data in the drive's cache, so it is asked for more.
inline int sync_to_disk(int descriptor) {
#if defined(F_FULLFSYNC)
  if (::fcntl(descriptor, F_FULLFSYNC) == 0) return 0;
#endif
  return ::fsync(descriptor);
}

/// ::rename that keeps an existing `to` (EEXIST), or swaps both names. Fails with EINVAL or ENOSYS where the
/// system or the file system can not.
enum class RenameRule { keep_existing, exchange };
inline int rename_by_rule([[maybe_unused]] const char* from, [[maybe_unused]] const char* to,
                          [[maybe_unused]] RenameRule rule) {
#if defined(SYS_renameat2)
  constexpr unsigned no_replace = 1U << 0, swap_names = 1U << 1;  // RENAME_NOREPLACE, RENAME_EXCHANGE
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to,
                                    rule == RenameRule::exchange ? swap_names : no_replace));
#elif defined(RENAME_EXCL) && defined(RENAME_SWAP)
  return ::renamex_np(from, to, rule == RenameRule::exchange ? RENAME_SWAP : RENAME_EXCL);
#else
  errno = EINVAL;
  return -1;
#endif
}

/// Gives the empty file `target` the content of `source` the quick ways: by sharing blocks, else by a copy
/// inside the kernel. Both stand at their start. \return how many of the `bytes` are still to be copied, from
/// the end of what is there
inline std::int64_t copy_inside_kernel([[maybe_unused]] int source, [[maybe_unused]] int target,
                                       std::int64_t bytes) {
#if defined(__linux__)
  constexpr unsigned long share_blocks =
      _IOW(0x94, 9, int);  // FICLONE; <linux/fs.h> defines BLOCK_SIZE as well
  if (::ioctl(target, share_blocks, source) == 0) return 0;
  std::int64_t left = bytes;
#if defined(SYS_copy_file_range)
  while (left > 0) {
    const long moved =
        ::syscall(SYS_copy_file_range, source, nullptr, target, nullptr, static_cast<std::size_t>(left), 0U);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) break;  // not between these two file systems
    left -= moved;
  }
#endif
  return left;
#elif defined(__APPLE__)
  // Not fclonefileat: it makes the file itself, with the source's mode, flags and access list.
  if (::fcopyfile(source, target, nullptr, COPYFILE_DATA) == 0) return 0;
  (void)::lseek(target, 0, SEEK_SET);
  (void)::ftruncate(target, 0);
  return bytes;
#else
  return bytes;
#endif
}

}  // namespace stofm::io::platform
