// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The temporary files of outputs: those of this process, by exact name, for whoever ends it early; and those
/// that a killed process left behind, recognised by their names.
///
/// Name: `<output>.tmp.<pid>.<n>.<scope>`. The scope stands for what makes a pid mean something: the host and
/// its pid namespace. A file is dead if it is a regular one of ours, its scope is this one, no process has
/// its pid and nobody holds a lock on it. All else is somebody else's and stays.

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/io/system_calls.hpp"

namespace stofm::io {

namespace detail {

/// Eight hexadecimal digits: the same for two processes if a pid of one means that process to the other.
inline const std::string& pid_scope() {
  static const std::string scope = [] {
    char host[256] = {}, space[64] = {};
    (void)!::gethostname(host, sizeof host - 1);
    (void)!::readlink("/proc/self/ns/pid", space, sizeof space - 1);  // not on every system: then the host
    std::uint32_t hash = 2166136261U;                                 // FNV-1a
    for (const std::string_view part : {std::string_view(host), std::string_view(space)})
      for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    std::string digits(8, '0');
    for (int i = 7; i >= 0; --i, hash >>= 4)
      digits[static_cast<std::size_t>(i)] = "0123456789abcdef"[hash & 15];
    return digits;
  }();
  return scope;
}

/// The end of a temporary name, taken apart.
struct TemporarySuffix {
  std::int64_t pid = 0;  ///< 0: the name is not one of ours
  std::string scope;     ///< empty in names of version 0.1
};

/// `text`: what follows the name of the output, ".tmp.<pid>.<n>.<scope>".
inline TemporarySuffix parse_temporary_suffix(std::string_view text) {
  constexpr std::string_view digits = "0123456789", hexadecimal = "0123456789abcdef";
  if (!text.starts_with(".tmp.")) return {};
  text.remove_prefix(5);
  const std::size_t first = text.find('.');
  if (first == 0 || first > 10 || text.substr(0, first).find_first_not_of(digits) != text.npos) return {};
  TemporarySuffix suffix;
  const std::string_view pid = text.substr(0, first);
  std::from_chars(pid.data(), pid.data() + pid.size(), suffix.pid);
  text.remove_prefix((std::min)(first + 1, text.size()));
  const std::size_t second = (std::min)(text.find('.'), text.size());
  if (second == 0 || text.substr(0, second).find_first_not_of(digits) != text.npos) return {};
  text.remove_prefix(second);
  if (text.empty()) return suffix;
  text.remove_prefix(1);
  if (text.size() != 8 || text.find_first_not_of(hexadecimal) != text.npos) return {};
  suffix.scope = text;
  return suffix;
}

}  // namespace detail

/// The temporary files that this process has now.
class TemporaryFiles {
 public:
  static TemporaryFiles& of_process() {
    static auto* const files = new TemporaryFiles;  // lives as long as any thread
    return *files;
  }

  void add(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    names_.insert(path);
  }
  bool contains(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    return names_.contains(path);
  }
  /// Creates a file that was added, for writing. \return its descriptor, or -1 and errno
  int create(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    return detail::open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  }
  /// It has another name now.
  void forget(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    names_.erase(path);
  }
  void remove(const std::string& path) noexcept {
    const std::scoped_lock lock(mutex_);
    detail::remove_file(path);
    names_.erase(path);
  }
  /// Removes them all, for a process that ends here and now: who wants to make another one waits for ever. A
  /// disk that hangs for five seconds keeps them.
  void remove_all_and_close() {
    if (!mutex_.try_lock_for(std::chrono::seconds(5))) return;
    for (const std::string& name : names_) ::unlink(name.c_str());
  }

 private:
  TemporaryFiles() = default;
  std::timed_mutex mutex_;
  std::set<std::string> names_;
};

/// Removes what killed processes of this user left in a directory. A directory that can not be read has
/// nothing. \return the names of the files removed, sorted
inline std::vector<std::string> remove_dead_temporaries(const std::filesystem::path& directory) {
  std::vector<std::string> removed;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string(), path = entry->path().string();
    const std::size_t at = name.rfind(".tmp.");
    if (at == std::string::npos || at == 0) continue;
    const detail::TemporarySuffix suffix = detail::parse_temporary_suffix(std::string_view(name).substr(at));
    if (suffix.pid <= 0 || suffix.scope != detail::pid_scope()) continue;
    if (suffix.pid != ::getpid() && (::kill(static_cast<pid_t>(suffix.pid), 0) == 0 || errno != ESRCH))
      continue;
    if (TemporaryFiles::of_process().contains(path)) continue;
    const detail::Descriptor file(detail::open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    if (!file.valid() || detail::stat_descriptor(file.get(), status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != ::geteuid() || status.st_nlink != 1)
      continue;
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) continue;
    if (detail::remove_file(path) == 0) removed.push_back(name);
  }
  std::sort(removed.begin(), removed.end());
  return removed;
}

}  // namespace stofm::io
