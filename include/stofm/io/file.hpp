// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Files to read: opened once, read by position, every byte asked for or an error. Includes the writing side
/// (`OutputFile`, `atomic_write`, `check_output` in io/output_file.hpp).
///
/// Only regular files are read: directories, FIFOs, sockets and devices are refused without opening them.
/// Nothing is mapped, so a file that is cut or replaced while it is read gives an error and not a SIGBUS.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>

#include "stofm/core/error.hpp"
#include "stofm/io/foreign_files.hpp"
#include "stofm/io/output_file.hpp"
#include "stofm/io/system_calls.hpp"

namespace stofm::io {

/// A regular file open for reading. Moves, does not copy; closes itself. Reads are const and may come from
/// several threads at once.
class File {
 public:
  /// \throws FileError (STOFM-3001, 3002, 3504 for a folder of an instrument or zarr) if there is no such
  /// file, it may not be read, or is not a regular file; ResourceError if handles ran out.
  static File open(const std::filesystem::path& path) {
    return detail::with_memory_errors(path, [&] { return open_regular(path); });
  }

  /// As the user gave it.
  const std::string& path() const { return path_; }
  /// Bytes when it was opened.
  std::int64_t size() const { return size_; }

  /// Copies bytes [offset, offset + count) to `data`. Short reads and EINTR are continued.
  /// \throws FileError (STOFM-3003) if the file ends before, ResourceError on an I/O error.
  void read(void* data, std::int64_t offset, std::int64_t count) const {
    auto* out = static_cast<char*>(data);
    constexpr std::int64_t longest_call = std::int64_t{1} << 30;
    while (count > 0) {
      const std::int64_t got =
          detail::read_at(descriptor_.get(), out, (std::min)(count, longest_call), offset);
      if (got < 0) detail::throw_errno(errno, path_, concat("read at byte ", offset));
      if (got == 0)
        throw FileError({"STOFM-3003", path_, concat("byte ", offset), "the end of the file",
                         concat(count, " more bytes; it had ", size_, " bytes when it was opened"),
                         "It was truncated or replaced while it was read; get it again."});
      out += got;
      offset += got;
      count -= got;
    }
  }

  /// The whole file. \throws FileError (STOFM-3004) above `max_bytes`, before any memory is taken.
  std::string read_all(std::int64_t max_bytes) const {
    if (size_ > max_bytes)
      throw FileError({"STOFM-3004", path_, "size", concat(size_, " bytes"),
                       concat("at most ", max_bytes, " bytes for this kind of file"),
                       "Check that it is the right file."});
    return detail::with_memory_errors(path_, [&] {
      std::string text(static_cast<std::size_t>(size_), '\0');
      read(text.data(), 0, size_);
      return text;
    });
  }

 private:
  File() = default;

  static File open_regular(const std::filesystem::path& path) {
    File file;
    file.path_ = path.string();
    struct stat status {};
    // Looked at before it is opened: opening a FIFO waits and opening a device may do things.
    if (detail::stat_path(file.path_, status) != 0) refuse_to_open(file.path_, errno);
    require_regular(file.path_, status);
    file.descriptor_ = detail::Descriptor(detail::open_file(file.path_, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    if (!file.descriptor_.valid()) refuse_to_open(file.path_, errno);
    if (detail::stat_descriptor(file.descriptor_.get(), status) != 0)
      detail::throw_errno(errno, file.path_, "read");
    require_regular(file.path_, status);
    file.size_ = static_cast<std::int64_t>(status.st_size);
    return file;
  }
  static void require_regular(const std::string& path, const struct stat& status) {
    if (ForeignFile foreign; S_ISDIR(status.st_mode) && !(foreign = recognise_foreign(path)).what.empty())
      throw FileError({"STOFM-3504", path, "open", foreign.what, "a regular file", foreign.remedy});
    if (!S_ISREG(status.st_mode))
      throw FileError({"STOFM-3002", path, "open", detail::kind_of_file(status.st_mode), "a regular file",
                       "Check the path."});
  }
  [[noreturn]] static void refuse_to_open(const std::string& path, int error) {
    std::error_code ignored;
    if (error == ENOENT && std::filesystem::is_symlink(path, ignored))
      throw FileError({"STOFM-3001", path, "open", "a dangling link (" + errno_text(error) + ")",
                       "a file that can be read", "Check where the link points."});
    detail::throw_errno(error, path, "open");
  }

  std::string path_;
  detail::Descriptor descriptor_;
  std::int64_t size_ = 0;
};

}  // namespace stofm::io
