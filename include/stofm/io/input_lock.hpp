// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Is somebody else writing this file? HDF5 programs (h5py, anndata) hold a flock on what they have open:
/// exclusive for writing, shared for reading. We hold a shared one while we read, an exclusive one while a
/// file is replaced in place.
///
/// A lock belongs to the open file description: this process has one for each file, whatever number of slices
/// is read from it, and its children share it. So we never lock ourselves out. File systems without locks
/// (ENOLCK, ENOTSUP, EBADF on NFS) count as free.

#include <sys/file.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "stofm/io/file_identity.hpp"

namespace stofm::io {

/// A shared lock that lives as long as the object.
class InputLock {
 public:
  /// Locks `path` for reading. \return nullptr if it is no regular file that can be opened: whoever opens it
  /// next says why. \throws FileError (STOFM-3503) if another process has it open for writing
  static std::shared_ptr<InputLock> share(const std::string& path) {
    detail::Descriptor file(detail::open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!file.valid() || detail::stat_descriptor(file.get(), status) != 0 || !S_ISREG(status.st_mode))
      return nullptr;
    static std::mutex mutex;
    static std::map<std::pair<std::uint64_t, std::uint64_t>, std::weak_ptr<InputLock>> held;
    const std::lock_guard guard(mutex);
    for (auto entry = held.begin(); entry != held.end();)
      entry = entry->second.expired() ? held.erase(entry) : std::next(entry);
    const FileIdentity identity = detail::identity_of(status);
    std::weak_ptr<InputLock>& known = held[{identity.device, identity.inode}];
    if (auto lock = known.lock()) return lock;
    const std::shared_ptr<InputLock> lock(new InputLock(path, std::move(file), identity));
    if (!lock->take(LOCK_SH))
      throw FileError({"STOFM-3503", path, "", "open for writing in another process", "a file at rest",
                       "Close it there (in a notebook: adata.file.close(), or end its kernel), then run "
                       "again."});
    known = lock;
    return lock;
  }

  /// Makes the lock exclusive until share_again(). \throws FileError (STOFM-3503) if anybody else has the
  /// file open
  void hold_alone() {
    if (take(LOCK_EX)) return;
    share_again();
    throw FileError({"STOFM-3503", path_, "", "open in another process",
                     "a file that nobody else has open while it is replaced",
                     "Close it there (in a notebook: adata.file.close(), or end its kernel), or write the "
                     "result to another file."});
  }
  void share_again() noexcept { (void)take(LOCK_SH); }

  /// \throws FileError (STOFM-3502) if the file is shorter now than when the lock was taken. libhdf5 reads
  /// zeros behind the end of a file, so that much else may seem to be wrong with it.
  void require_uncut() const {
    const FileIdentity now = detail::identity_of(file_.get());
    if (now.bytes >= then_.bytes) return;
    throw FileError({"STOFM-3502", path_, "", concat("a file cut to ", now.bytes, " bytes while it was read"),
                     concat("the ", then_.bytes, " bytes it had when it was opened"),
                     "Download or copy the file again, then run again."});
  }

 private:
  InputLock(std::string path, detail::Descriptor file, const FileIdentity& then)
      : path_(std::move(path)), file_(std::move(file)), then_(then) {}

  /// \return false only if somebody else holds a lock that excludes this one.
  bool take(int kind) noexcept {
    while (::flock(file_.get(), kind | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      return errno != EWOULDBLOCK;
    }
    return true;
  }

  std::string path_;
  detail::Descriptor file_;
  FileIdentity then_;
};

/// Runs `read`; what goes wrong in a file that was cut meanwhile is told as that. `lock` may be nullptr.
template <class Read>
auto reading_uncut(const std::shared_ptr<InputLock>& lock, Read&& read) {
  try {
    return read();
  } catch (const Error&) {
    if (lock) lock->require_uncut();
    throw;
  }
}

}  // namespace stofm::io
