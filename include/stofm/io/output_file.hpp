// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Files to write: whole or absent. The content goes to `name.tmp.<pid>.<n>.<scope>` in the same directory,
/// is synced, takes its final name by one rename, and the directory is synced. Any failure removes the
/// temporary file and leaves what was there before.
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
#include "stofm/io/pending_output.hpp"
#include "stofm/io/system_calls.hpp"

namespace stofm::io {

/// Sequential output that is whole or absent. Call `commit()` at the end; without it nothing remains.
class OutputFile {
 public:
  /// \throws as PendingOutput, before anything is written.
  explicit OutputFile(const std::filesystem::path& path, OutputOptions options = {})
      : pending_(path, options), expected_bytes_(options.expected_bytes) {
    buffer_.reserve(buffer_bytes);
    descriptor_ = detail::Descriptor(
        pending_.is_stream() ? detail::open_file(pending_.path(), O_WRONLY | O_NOCTTY | O_NONBLOCK)
                             : TemporaryFiles::of_process().create(pending_.temporary_path()));
    if (!descriptor_.valid()) refuse_to_create(errno);
    if (pending_.is_stream())
      ::fcntl(descriptor_.get(), F_SETFL, 0);  // from here on, writes wait for the reader
    else
      pending_.restore_owner(descriptor_.get());
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
  detail::with_memory_errors(path, [&] {
    OutputFile output(path, options);
    std::forward<Writer>(writer)(output);
    output.commit();
  });
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
  options.group = nullptr;
  const OutputFile probe(path, options);  // created and removed: the only reliable test of a directory
}
inline void check_output(const std::filesystem::path& path,
                         std::initializer_list<std::filesystem::path> inputs, OutputOptions options = {}) {
  check_output(path, std::span<const std::filesystem::path>(inputs.begin(), inputs.size()), options);
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
    const std::int64_t needed = (std::max)(expected_bytes_, written_ + missing);
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
