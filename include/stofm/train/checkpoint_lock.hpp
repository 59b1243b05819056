// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One run per directory: a lock file that names the process and the host that hold it. Row R14.
///
/// The lock itself is flock(2), which the kernel drops when its process ends in whatever way; the text in the
/// file is for people and for hosts that share a disk without sharing locks. So on one host a lock that was
/// left behind by a killed run is taken over without a word, and one of another host is refused until a
/// person removes it.

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "stofm/core/error.hpp"
#include "stofm/io/file.hpp"
#include "stofm/io/system_calls.hpp"

namespace stofm::train {

/// Holds the lock while it lives.
class DirectoryLock {
 public:
  /// Takes `path` (created if it is not there).
  /// \throws UsageError STOFM-3811 if a run holds it, with its process and host, 3813 if what has the name is
  /// no lock (a link, somebody's file): it stays as it is; ResourceError on I/O errors.
  explicit DirectoryLock(const std::filesystem::path& path);
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock() {
    if (descriptor_.valid()) (void)io::detail::remove_file(path_);  // while it is still held: nobody else's
  }
  const std::string& path() const { return path_; }

 private:
  bool take();
  [[noreturn]] void refuse_file(const char* found);

  std::string path_;
  io::detail::Descriptor descriptor_;
};

namespace detail {

inline std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? std::string(name) : std::string("unknown");
}

struct LockHolder {
  std::int64_t pid = 0;  ///< 0: the file says nothing
  std::string host;
};
/// "pid 123 host abc". Anything else says nothing.
inline LockHolder lock_holder(const std::string& text) {
  LockHolder holder;
  const std::size_t at = text.find(" host ");
  if (!text.starts_with("pid ") || at == std::string::npos) return holder;
  const std::string digits = text.substr(4, at - 4);
  if (digits.empty() || digits.size() > 12 || digits.find_first_not_of("0123456789") != std::string::npos)
    return holder;
  holder.pid = std::strtoll(digits.c_str(), nullptr, 10);
  holder.host = text.substr(at + 6, text.find('\n') - at - 6);
  return holder;
}

inline std::string lock_text(int descriptor) {
  std::string text(512, '\0');
  const std::int64_t got = io::detail::read_at(descriptor, text.data(), 512, 0);
  text.resize(static_cast<std::size_t>(got > 0 ? got : 0));
  return text;
}

}  // namespace detail

inline DirectoryLock::DirectoryLock(const std::filesystem::path& path) : path_(path.string()) {
  // A file that its holder removes between open and lock is no lock: look again.
  while (!take()) descriptor_ = io::detail::Descriptor();
}

inline void DirectoryLock::refuse_file(const char* found) {
  const std::string path = std::exchange(path_, std::string());
  descriptor_ = io::detail::Descriptor();
  throw UsageError({"STOFM-3813", path, "lock", found, "a lock of stofm, or nothing",
                    "Remove or rename it, or give another directory."});
}

inline bool DirectoryLock::take() {
  descriptor_ = io::detail::Descriptor(io::detail::open_file(path_, O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
  if (!descriptor_.valid() && errno == ELOOP) refuse_file("a link");
  if (!descriptor_.valid()) io::detail::throw_errno(errno, path_, "lock");
  // A child of a run that was killed may hold the lock a moment longer than its parent.
  for (int waits = 0; ::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0; ++waits) {
    const detail::LockHolder holder = detail::lock_holder(detail::lock_text(descriptor_.get()));
    const bool ended = holder.pid > 0 && holder.host == detail::host_name() &&
                       ::kill(static_cast<pid_t>(holder.pid), 0) != 0 && errno == ESRCH;
    if (waits < 40 && (ended || holder.pid == 0)) {  // 2 s; no text: its holder is just writing it
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    const std::string found = holder.pid > 0
                                  ? stofm::concat("a run that uses this directory: process ", holder.pid,
                                                  " on host ", stofm::quoted(holder.host, 80))
                                  : std::string("a run that uses this directory");
    const std::string path = std::exchange(path_, std::string());
    descriptor_ = io::detail::Descriptor();
    throw UsageError({"STOFM-3811", path, "lock", found, "one run per directory",
                      "Wait for that run to end, stop it, or give another directory."});
  }
  struct stat held {
  }, named{};
  if (io::detail::stat_descriptor(descriptor_.get(), held) != 0)
    io::detail::throw_errno(errno, path_, "lock");
  if (io::detail::stat_path(path_, named) != 0 || held.st_ino != named.st_ino || held.st_dev != named.st_dev)
    return false;
  const std::string written = detail::lock_text(descriptor_.get());
  const detail::LockHolder before = detail::lock_holder(written);
  if (!S_ISREG(held.st_mode) || held.st_nlink > 1) refuse_file("a file that has other names");
  if (!written.empty() && !written.starts_with("pid ")) refuse_file("a file that is no lock");
  if (before.pid > 0 && before.host != detail::host_name()) {
    const std::string path = path_;
    descriptor_ = io::detail::Descriptor();
    throw UsageError({"STOFM-3811", path, "lock",
                      stofm::concat("process ", before.pid, " on host ", stofm::quoted(before.host, 80),
                                    ", which can not be asked from here"),
                      "one run per directory", "If that run has ended, remove this file; else wait for it."});
  }
  const std::string text = stofm::concat("pid ", ::getpid(), " host ", detail::host_name(), "\n");
  if (::ftruncate(descriptor_.get(), 0) != 0 ||
      io::detail::write_some(descriptor_.get(), text.data(), static_cast<std::int64_t>(text.size())) < 0) {
    const int error = errno;
    (void)io::detail::remove_file(path_);
    descriptor_ = io::detail::Descriptor();
    io::detail::throw_errno(error, path_, "lock");
  }
  return true;
}

}  // namespace stofm::train
