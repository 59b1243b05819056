// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Files to write: whole or absent. The content goes to `name.tmp.<pid>.<n>` in the same directory, is
/// synced, takes its final name by one rename, and the directory is synced. Any failure removes the temporary
/// file and leaves what was there before.
///
/// An existing device, FIFO or socket path (/dev/null, /dev/stdout, /dev/full) is written straight through.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "stofm/core/error.hpp"
#include "stofm/io/system_calls.hpp"

namespace stofm::io {

/// How an output comes into being.
struct OutputOptions {
  bool overwrite = false;           ///< an existing file may be replaced (atomically)
  std::int64_t expected_bytes = 0;  ///< refused at once if the disk has less room; 0: not known
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
  PendingOutput(const PendingOutput&) = delete;
  PendingOutput& operator=(const PendingOutput&) = delete;
  ~PendingOutput() { discard(); }

  const std::string& path() const { return path_; }                      ///< as the user gave it
  const std::string& temporary_path() const { return temporary_path_; }  ///< write here; does not exist yet
  bool is_stream() const { return stream_; }  ///< a device or pipe: write to path()
  mode_t mode() const { return mode_; }       ///< permissions of the file replaced, or 0

  /// Syncs the temporary file, renames it to the final name, syncs the directory.
  /// \throws ResourceError, or UsageError if the name appeared meanwhile; then nothing has changed.
  void commit();
  /// As commit for a file whose content is already synced.
  void commit_synced();

 private:
  void discard() noexcept {
    if (!done_ && !temporary_path_.empty()) detail::remove_file(temporary_path_);
    done_ = true;
  }
  void sync_directory();

  std::string path_, final_path_, directory_, temporary_path_;
  bool overwrite_ = false, existed_ = false, stream_ = false, done_ = false;
  mode_t mode_ = 0;
  detail::Descriptor directory_descriptor_;
};

/// Sequential output that is whole or absent. Call `commit()` at the end; without it nothing remains.
class OutputFile {
 public:
  /// \throws as PendingOutput, before anything is written.
  explicit OutputFile(const std::filesystem::path& path, OutputOptions options = {})
      : pending_(path, options), expected_bytes_(options.expected_bytes) {
    buffer_.reserve(buffer_bytes);
    descriptor_ = detail::Descriptor(
        pending_.is_stream()
            ? detail::open_file(pending_.path(), O_WRONLY | O_NOCTTY | O_NONBLOCK)
            : detail::open_file(pending_.temporary_path(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW));
    if (!descriptor_.valid()) refuse_to_create(errno);
    if (pending_.is_stream())
      ::fcntl(descriptor_.get(), F_SETFL, 0);  // from here on, writes wait for the reader
    if (pending_.mode() != 0) (void)!::fchmod(descriptor_.get(), pending_.mode());
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::string& path() const { return pending_.path(); }
  /// Bytes written so far.
  std::int64_t position() const { return written_ + static_cast<std::int64_t>(buffer_.size()); }

  /// Appends. \throws ResourceError (STOFM-5010, 5011) when the disk is full or fails.
  void write(const void* data, std::int64_t count) {
    if (position() + count - written_ <= buffer_bytes) {
      buffer_.append(static_cast<const char*>(data), static_cast<std::size_t>(count));
      return;
    }
    flush();
    if (count <= buffer_bytes)
      buffer_.append(static_cast<const char*>(data), static_cast<std::size_t>(count));
    else
      write_through(static_cast<const char*>(data), count);
  }
  void write(std::string_view text) { write(text.data(), static_cast<std::int64_t>(text.size())); }

  /// Makes the output visible under its name, durable. \throws ResourceError; then nothing has changed.
  void commit() {
    flush();
    if (!pending_.is_stream() && detail::sync_descriptor(descriptor_.get()) != 0)
      detail::throw_errno(errno, pending_.path(), "sync");
    if (descriptor_.close() != 0) detail::throw_errno(errno, pending_.path(), "close");
    pending_.commit_synced();
  }

 private:
  static constexpr std::int64_t buffer_bytes = 1 << 18;

  void flush() {
    write_through(buffer_.data(), static_cast<std::int64_t>(buffer_.size()));
    buffer_.clear();
  }
  void write_through(const char* data, std::int64_t count) {
    while (count > 0) {
      const std::int64_t chunk = count < (std::int64_t{1} << 30) ? count : std::int64_t{1} << 30;
      const std::int64_t put = detail::write_some(descriptor_.get(), data, chunk);
      if (put <= 0) refuse_write(put < 0 ? errno : ENOSPC, count);
      data += put;
      count -= put;
      written_ += put;
    }
  }
  [[noreturn]] void refuse_to_create(int error) const;
  [[noreturn]] void refuse_write(int error, std::int64_t missing) const;

  PendingOutput pending_;
  detail::Descriptor descriptor_;
  std::int64_t written_ = 0;
  std::int64_t expected_bytes_ = 0;
  std::string buffer_;
};

/// Writes a file through `writer(OutputFile&)`; it appears whole, or not at all if `writer` throws.
template <class Writer>
void atomic_write(const std::filesystem::path& path, Writer&& writer, OutputOptions options = {}) {
  OutputFile output(path, options);
  std::forward<Writer>(writer)(output);
  output.commit();
}

/// Everything about an output that can be known before work starts (rows C01 to C03): it does not exist
/// (unless `overwrite`), is none of the inputs, and its directory exists and takes a new file. Leaves nothing
/// behind. \throws UsageError STOFM-3010 exists, 3011 is an input, 3012 directory missing, 3013 not writable,
/// 3014 a directory; ResourceError STOFM-5011 if `expected_bytes` do not fit.
inline void check_output(const std::filesystem::path& path, std::span<const std::filesystem::path> inputs,
                         OutputOptions options = {}) {
  for (const std::filesystem::path& input : inputs)
    if (!path.empty() && same_file(path, input))
      throw UsageError({"STOFM-3011", path.string(), "output", "the same file as the input " + input.string(),
                        "an output of its own", "Choose another output path."});
  const OutputFile probe(path, options);  // created and removed: the only reliable test of a directory
}
inline void check_output(const std::filesystem::path& path,
                         std::initializer_list<std::filesystem::path> inputs, OutputOptions options = {}) {
  check_output(path, std::span<const std::filesystem::path>(inputs.begin(), inputs.size()), options);
}

// --- implementation
// ---------------------------------------------------------------------------------------------

inline PendingOutput::PendingOutput(const std::filesystem::path& path, OutputOptions options)
    : path_(path.string()), overwrite_(options.overwrite) {
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
                      "Choose another output path or give --overwrite."});
  if (exists) {
    existed_ = true;
    mode_ = status.st_mode & 07777;
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
  // Unique in this process by the counter, among processes by the pid; a stale one of an earlier process is
  // passed by.
  static std::atomic<unsigned> counter{0};
  const std::string stem = target.filename().string().substr(0, 200);
  const std::filesystem::path folder = target.parent_path();
  do {
    temporary_path_ = (folder / concat(stem, ".tmp.", ::getpid(), ".", counter.fetch_add(1))).string();
  } while (std::filesystem::exists(std::filesystem::symlink_status(temporary_path_, ignored)));
}

inline void PendingOutput::sync_directory() {
  if (detail::sync_descriptor(directory_descriptor_.get()) == 0 || errno == EINVAL || errno == ENOTSUP)
    return;
  detail::throw_errno(errno, path_, "sync of directory " + directory_);
}

inline void PendingOutput::commit() {
  if (stream_) return;
  const int descriptor = detail::open_file(temporary_path_, O_RDONLY);
  if (descriptor < 0) detail::throw_errno(errno, path_, "sync");
  const int synced = detail::sync_descriptor(descriptor);
  const int error = errno;
  detail::close_descriptor(descriptor);
  if (synced != 0) detail::throw_errno(error, path_, "sync");
  commit_synced();
}

inline void PendingOutput::commit_synced() {
  if (stream_ || done_) return;
  auto refuse = [this] {
    if (errno == EEXIST)
      throw UsageError({"STOFM-3010", path_, "output", "a file that appeared meanwhile", "a new name",
                        "Choose another output path or give --overwrite."});
    detail::throw_errno(errno, path_, "rename");
  };
  using detail::RenameMode;
  auto unsupported = [] { return errno == EINVAL || errno == ENOSYS || errno == ENOTSUP; };
  if (!existed_) {
    const RenameMode mode = overwrite_ ? RenameMode::replace : RenameMode::keep_existing;
    if (detail::rename_file(temporary_path_, final_path_, mode) != 0 &&
        (!unsupported() || detail::rename_file(temporary_path_, final_path_, RenameMode::replace) != 0))
      refuse();
    done_ = true;
    try {
      sync_directory();
    } catch (...) {
      ::unlink(final_path_.c_str());  // an output that may not survive is no output
      throw;
    }
    return;
  }
  // The old file is kept under the temporary name until the new one is safe.
  if (detail::rename_file(temporary_path_, final_path_, RenameMode::exchange) == 0) {
    try {
      sync_directory();
    } catch (...) {
      (void)!::rename(temporary_path_.c_str(), final_path_.c_str());
      done_ = true;
      throw;
    }
    discard();
    return;
  }
  if (!unsupported() && errno != ENOENT) refuse();
  if (detail::rename_file(temporary_path_, final_path_, RenameMode::replace) != 0) refuse();
  done_ = true;
  sync_directory();
}

inline void OutputFile::refuse_to_create(int error) const {
  if (error == EACCES || error == EPERM || error == EROFS || error == ENXIO || error == ENOENT)
    throw UsageError({"STOFM-3013", path(), "output", errno_text(error), "a path that can be written",
                      pending_.is_stream() ? "Start the reader of the pipe first, or name a regular file."
                                           : "Choose another output directory or change its permissions."});
  detail::throw_errno(error, path(), "create");
}

inline void OutputFile::refuse_write(int error, std::int64_t missing) const {
  struct statvfs room {};
  if ((error == ENOSPC || error == EDQUOT || error == EFBIG) && ::fstatvfs(descriptor_.get(), &room) == 0) {
    const std::int64_t needed = std::max(expected_bytes_, position() + missing);
    const std::filesystem::path parent = std::filesystem::path(pending_.path()).parent_path();
    throw ResourceError({"STOFM-5011", pending_.path(), concat("write at byte ", written_),
                         concat("no space left on ", parent.empty() ? "." : parent.string(), " (",
                                errno_text(error), "): needs ", needed, " bytes, has ",
                                static_cast<std::int64_t>(static_cast<double>(room.f_bavail) *
                                                          static_cast<double>(room.f_frsize))),
                         "room for the output",
                         "Free some space, raise the quota or file-size limit, or write to another disk."});
  }
  detail::throw_errno(error, pending_.path(), concat("write at byte ", written_));
}

}  // namespace stofm::io
