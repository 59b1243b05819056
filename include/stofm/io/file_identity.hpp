// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which file a path named, and in which state: what tells that an input was changed or replaced while it was
/// read.

#include <cstdint>
#include <string>

#include "stofm/core/error.hpp"
#include "stofm/io/system_calls.hpp"

namespace stofm::io {

/// Device, inode, size and time of the last change. All 0: not known.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t modified_ns = 0;

  bool known() const { return inode != 0; }
  bool operator==(const FileIdentity&) const = default;
};

namespace detail {

inline FileIdentity identity_of(const struct stat& status) {
#if defined(__APPLE__)
  const timespec& when = status.st_mtimespec;
#else
  const timespec& when = status.st_mtim;
#endif
  return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
          static_cast<std::int64_t>(status.st_size),
          static_cast<std::int64_t>(when.tv_sec) * 1000000000 + static_cast<std::int64_t>(when.tv_nsec)};
}

inline FileIdentity identity_of(int descriptor) {
  struct stat status {};
  return stat_descriptor(descriptor, status) == 0 ? identity_of(status) : FileIdentity{};
}

[[noreturn]] inline void throw_changed(const std::string& path, const FileIdentity& then,
                                       const FileIdentity& now) {
  const char* what = !now.known()              ? "no file any more"
                     : now.inode != then.inode ? "another file under this name than the one that was read"
                     : now.bytes != then.bytes ? "a file that grew or shrank while it was used"
                                               : "a file that was written while it was used";
  throw FileError({"STOFM-3543", path, "input", what, "a file at rest from the first byte read to the result",
                   "Nothing was written. Let the program that changes it finish, then run again."});
}

}  // namespace detail

/// The file that `path` names now; not known if there is none.
inline FileIdentity file_identity(const std::string& path) {
  struct stat status {};
  return detail::stat_path(path, status) == 0 ? detail::identity_of(status) : FileIdentity{};
}

/// \throws FileError (STOFM-3543) if `path` was the file `then` and is `now` another one, or was changed.
/// Nothing happens if `then` is not known.
inline void require_unchanged(const std::string& path, const FileIdentity& then, const FileIdentity& now) {
  if (then.known() && !(now == then)) detail::throw_changed(path, then, now);
}
/// As above, for what `path` names at the moment. *Cost* one stat.
inline void require_unchanged(const std::string& path, const FileIdentity& then) {
  require_unchanged(path, then, file_identity(path));
}

}  // namespace stofm::io
