// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The name of an output and what happens around it: checked before, a temporary one while it is written,
/// final by one rename.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

#include "stofm/core/error.hpp"
#include "stofm/io/system_calls.hpp"
#include "stofm/io/temporary_files.hpp"

namespace stofm::io {

class OutputGroup;

/// How an output comes into being.
struct OutputOptions {
  bool overwrite = false;           ///< an existing file may be replaced (atomically)
  std::int64_t expected_bytes = 0;  ///< refused at once if the disk has less room; 0: not known
  bool follow_link = true;  ///< false: a link is refused; for names that nobody gave (logs, checkpoints, ...)
  OutputGroup* group = nullptr;  ///< the finished file is handed to it and takes its name with the others
};

/// True if both paths name the same file (path, link or inode). Paths that do not exist are compared as text.
inline bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  struct stat x {
  }, y{};
  if (detail::stat_path(a.string(), x) == 0 && detail::stat_path(b.string(), y) == 0)
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
  std::error_code ignored;
  return std::filesystem::weakly_canonical(a, ignored) == std::filesystem::weakly_canonical(b, ignored);
}

/// A name that is reserved for an output: gives a temporary path in the same directory for somebody else to
/// write (HDF5, for example), then `commit()` moves it into place. Without commit the temporary file is
/// removed.
class PendingOutput {
 public:
  /// \throws UsageError (STOFM-3010 to 3014) if the output exists, is a directory, or its directory is
  /// missing; ResourceError (STOFM-5011) if `expected_bytes` do not fit.
  explicit PendingOutput(const std::filesystem::path& path, OutputOptions options = {});
  PendingOutput(PendingOutput&& other) noexcept
      : path_(std::move(other.path_)),
        final_path_(std::move(other.final_path_)),
        directory_(std::move(other.directory_)),
        temporary_path_(std::move(other.temporary_path_)),
        overwrite_(other.overwrite_),
        existed_(other.existed_),
        stream_(other.stream_),
        done_(std::exchange(other.done_, true)),
        published_(other.published_),
        mode_(other.mode_),
        owner_(other.owner_),
        owner_group_(other.owner_group_),
        group_(other.group_),
        directory_descriptor_(std::move(other.directory_descriptor_)) {}
  PendingOutput& operator=(PendingOutput&&) = delete;
  ~PendingOutput() { discard(); }

  const std::string& path() const { return path_; }                      ///< as the user gave it
  const std::string& temporary_path() const { return temporary_path_; }  ///< write here; does not exist yet
  bool is_stream() const { return stream_; }  ///< a device or pipe: write to path()
  mode_t mode() const { return mode_; }       ///< permissions of the file replaced, or 0
  /// Gives an open file the owner (where that is allowed) and the permissions of the file it replaces.
  void restore_owner(int descriptor) const;

  /// Syncs the temporary file, renames it to the final name, syncs the directory; or, with a group, hands it
  /// over. \throws ResourceError, or UsageError if the name appeared meanwhile; then nothing has changed.
  void commit();
  /// As commit for a file whose content is already synced.
  void commit_synced();

 private:
  friend class OutputGroup;
  /// How the file got its name: the old one, if any, is under the temporary name after an exchange.
  enum class Published { no, created, exchanged, replaced };

  void discard() noexcept {
    if (!done_ && !temporary_path_.empty()) TemporaryFiles::of_process().remove(temporary_path_);
    done_ = true;
  }
  void publish();          ///< takes the name
  void undo() noexcept;    ///< as before `publish`, where the file system can exchange names
  void settle() noexcept;  ///< the old file goes
  void sync_directory();

  std::string path_, final_path_, directory_, temporary_path_;
  bool overwrite_ = false, existed_ = false, stream_ = false, done_ = false;
  Published published_ = Published::no;
  mode_t mode_ = 0;
  uid_t owner_ = 0;
  gid_t owner_group_ = 0;
  OutputGroup* group_ = nullptr;
  detail::Descriptor directory_descriptor_;
};

inline PendingOutput::PendingOutput(const std::filesystem::path& path, OutputOptions options)
    : path_(path.string()), overwrite_(options.overwrite), group_(options.group) {
  if (path_.empty())
    throw UsageError({"STOFM-3014", "", "output", "an empty path", "a file name", "Name the output file."});
  std::filesystem::path target = path;
  struct stat status {};
  std::error_code ignored;
  const bool exists = detail::stat_path(path_, status) == 0;
  if (!exists && errno != ENOENT && errno != ENOTDIR) {
    const int error = errno;
    if (error == EACCES || error == ELOOP || error == ENAMETOOLONG)
      throw UsageError({"STOFM-3013", path_, "output", errno_text(error), "a path that can be written",
                        "Choose another output path."});
    detail::throw_errno(error, path_, "output");
  }
  if (!options.follow_link && std::filesystem::is_symlink(path, ignored))
    throw UsageError({"STOFM-3015", path_, "output", "a link",
                      "a file of its own at a name that was not given",
                      "Remove the link or choose another output directory."});
  if (!exists && std::filesystem::is_symlink(path, ignored))
    throw UsageError({"STOFM-3014", path_, "output", "a dangling link", "a new file or an existing one",
                      "Remove the link or name another output."});
  if ((exists && S_ISDIR(status.st_mode)) || !path.has_filename())
    throw UsageError(
        {"STOFM-3014", path_, "output", "a directory", "a file name", "Add a file name to the output path."});
  if (exists && !S_ISREG(status.st_mode)) {
    stream_ = done_ = true;
    return;
  }
  if (exists && !options.overwrite)
    throw UsageError({"STOFM-3010", path_, "output", "a file that exists", "a new name",
                      "Choose another output path or give OutputOptions::overwrite."});
  if (exists) {
    existed_ = true;
    mode_ = status.st_mode & 07777;
    owner_ = status.st_uid;
    owner_group_ = status.st_gid;
    target = std::filesystem::canonical(path, ignored);  // a link stays, the file it names is replaced
    if (ignored) target = path;
  }
  final_path_ = target.string();
  directory_ = target.has_parent_path() ? target.parent_path().string() : ".";
  directory_descriptor_ = detail::Descriptor(detail::open_file(directory_, O_RDONLY | O_DIRECTORY));
  if (!directory_descriptor_.valid()) {
    const int error = errno;
    if (error != ENOENT && error != ENOTDIR && error != EACCES && error != ELOOP && error != ENAMETOOLONG)
      detail::throw_errno(error, path_, "output directory");
    throw UsageError({"STOFM-3012", path_, "output directory " + directory_, errno_text(error),
                      "a directory that exists",
                      "Create the directory first or choose another output path."});
  }
  struct statvfs room {};
  if (options.expected_bytes > 0 && ::fstatvfs(directory_descriptor_.get(), &room) == 0) {
    const double free_bytes = static_cast<double>(room.f_bavail) * static_cast<double>(room.f_frsize);
    if (free_bytes < static_cast<double>(options.expected_bytes))
      throw ResourceError({"STOFM-5011", path_, "output",
                           concat("no space left on ", directory_, ": needs ", options.expected_bytes,
                                  " bytes, has ", static_cast<std::int64_t>(free_bytes)),
                           "room for the output", "Free some space or write to another disk."});
  }
  // Unique in this process by the counter, among processes by pid and scope.
  static std::atomic<unsigned> counter{0};
  const std::string stem = target.filename().string().substr(0, 200);
  const std::filesystem::path folder = target.parent_path();
  do {
    temporary_path_ =
        (folder / concat(stem, ".tmp.", ::getpid(), ".", counter.fetch_add(1), ".", detail::pid_scope()))
            .string();
  } while (std::filesystem::exists(std::filesystem::symlink_status(temporary_path_, ignored)));
  TemporaryFiles::of_process().add(temporary_path_);
}

inline void PendingOutput::sync_directory() {
  if (detail::sync_descriptor(directory_descriptor_.get()) == 0 || errno == EINVAL || errno == ENOTSUP)
    return;
  detail::throw_errno(errno, path_, "sync of directory " + directory_);
}

inline void PendingOutput::restore_owner(int descriptor) const {
  if (mode_ == 0) return;
  if (owner_ != ::geteuid() || owner_group_ != ::getegid()) (void)!::fchown(descriptor, owner_, owner_group_);
  (void)!::fchmod(descriptor, mode_);
}

inline void PendingOutput::commit() {
  if (stream_) return;
  const int descriptor = detail::open_file(temporary_path_, O_RDONLY);
  if (descriptor < 0) detail::throw_errno(errno, path_, "sync");
  restore_owner(descriptor);
  const int synced = detail::sync_descriptor(descriptor);
  const int error = errno;
  detail::close_descriptor(descriptor);
  if (synced != 0) detail::throw_errno(error, path_, "sync");
  commit_synced();
}

inline void PendingOutput::publish() {
  auto refuse = [this] {
    if (errno == EEXIST)
      throw UsageError({"STOFM-3010", path_, "output", "a file that appeared meanwhile", "a new name",
                        "Choose another output path or give OutputOptions::overwrite."});
    detail::throw_errno(errno, path_, "rename");
  };
  using detail::RenameMode;
  auto unsupported = [] { return errno == EINVAL || errno == ENOSYS || errno == ENOTSUP; };
  if (!existed_) {
    const RenameMode mode = overwrite_ ? RenameMode::replace : RenameMode::keep_existing;
    if (detail::rename_file(temporary_path_, final_path_, mode) != 0 &&
        (!unsupported() || detail::rename_file(temporary_path_, final_path_, RenameMode::replace) != 0))
      refuse();
    published_ = Published::created;
  } else if (detail::rename_file(temporary_path_, final_path_, RenameMode::exchange) == 0) {
    published_ = Published::exchanged;  // the old file is kept until the new one is safe
    return;
  } else {
    if (!unsupported() && errno != ENOENT) refuse();
    if (detail::rename_file(temporary_path_, final_path_, RenameMode::replace) != 0) refuse();
    published_ = Published::replaced;
  }
  done_ = true;
  TemporaryFiles::of_process().forget(temporary_path_);
}

inline void PendingOutput::undo() noexcept {
  if (published_ == Published::created) ::unlink(final_path_.c_str());
  if (published_ == Published::exchanged) {
    (void)!::rename(temporary_path_.c_str(), final_path_.c_str());
    TemporaryFiles::of_process().forget(temporary_path_);
  }
  published_ = Published::no;
  done_ = true;
}

inline void PendingOutput::settle() noexcept {
  if (published_ == Published::exchanged) discard();
}

}  // namespace stofm::io

#include "stofm/io/output_group.hpp"
