// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The first bytes of an HDF5 file, read without libhdf5: is it one, is it whole, was it closed.
///
/// The superblock stands at offset 0, 512, 1024, 2048, ... behind the signature \x89HDF\r\n\x1a\n. Versions 0
/// and 1 keep the end-of-file address as the third of four addresses from byte 24 (28) on, versions 2 and 3
/// as the third from byte 12 on; version 3 has consistency flags in byte 11 (1: open for writing, 4: SWMR).
/// *Source* HDF5 File Format Specification 3.0, section II.A.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "stofm/core/error.hpp"
#include "stofm/io/foreign_files.hpp"

namespace stofm::io {

/// What the superblock says.
struct Hdf5Superblock {
  std::int64_t file_size = 0;
  std::int64_t offset = 0;  ///< of the superblock: the size of the user block
  int version = 0;
  std::size_t address_width = 8;  ///< bytes of an address in the file
  std::size_t length_width = 8;   ///< bytes of a size in the file
  std::int64_t base = 0;          ///< what addresses count from
  std::int64_t end_address = 0;   ///< bytes that a whole file has, the user block included
};

namespace detail {

/// A file descriptor that closes itself.
struct RawDescriptor {
  int fd = -1;
  explicit RawDescriptor(int descriptor) : fd(descriptor) {}
  RawDescriptor(const RawDescriptor&) = delete;
  RawDescriptor& operator=(const RawDescriptor&) = delete;
  ~RawDescriptor() {
    if (fd >= 0) ::close(fd);
  }
};

/// Up to `size` bytes at `offset`; fewer at the end of the file.
inline std::string read_some(int fd, std::int64_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const auto at = static_cast<off_t>(offset + static_cast<std::int64_t>(have));
    const ssize_t got = ::pread(fd, bytes.data() + have, size - have, at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

inline std::string looks_like(std::string_view head) {
  const auto starts = [head](std::string_view mark) { return head.substr(0, mark.size()) == mark; };
  if (head.empty()) return "an empty file";
  if (starts("PK\x03\x04")) return "a zip archive (unpack it first)";
  if (starts("\x1f\x8b")) return "a gzip file (unpack it with gunzip first)";
  if (starts("BZh")) return "a bzip2 file (unpack it first)";
  if (starts("\xfd"
             "7zXZ"))
    return "an xz file (unpack it first)";
  if (starts("\x28\xb5\x2f\xfd")) return "a zstd file (unpack it first)";
  if (starts("\x93NUMPY")) return "a NumPy .npy file";
  if (starts("{")) return "JSON text";
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && head[first] == '<')
    return "an HTML or XML page (an error page saved under this name?)";
  for (const char c : head.substr(0, 64))
    if (static_cast<unsigned char>(c) < 9) return "unknown binary content";
  return "text";
}

inline std::uint64_t little_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;)
    value = (value << 8) | static_cast<unsigned char>(at + i < bytes.size() ? bytes[at + i] : '\0');
  return value;
}

}  // namespace detail

/// Reads and checks the superblock of an open file (a descriptor below 0: errno says why it could not be
/// opened). `path`: its name for messages.
/// \throws FileError not a regular file, not HDF5 (and what it looks like), truncated, not closed. *Cost* a
/// few reads.
inline Hdf5Superblock check_superblock(const std::string& path, const detail::RawDescriptor& file) {
  struct stat status {};
  if (file.fd < 0 || ::fstat(file.fd, &status) != 0)
    throw FileError({"STOFM-3501", path, "", std::strerror(errno), "a readable .h5ad file",
                     "Check the path and the permissions."});
  if (ForeignFile foreign; S_ISDIR(status.st_mode) && !(foreign = recognise_foreign(path)).what.empty())
    throw FileError({"STOFM-3504", path, "", foreign.what, "an AnnData file (.h5ad)", foreign.remedy});
  if (!S_ISREG(status.st_mode))
    throw FileError({"STOFM-3501", path, "", S_ISDIR(status.st_mode) ? "a directory" : "not a regular file",
                     "a readable .h5ad file", "Check the path."});
  static constexpr std::string_view signature("\x89HDF\r\n\x1a\n", 8);
  Hdf5Superblock block;
  block.file_size = status.st_size;
  std::string head;
  bool found = false;
  // Like libhdf5: 0, then powers of two from 512 on.
  for (std::int64_t at = 0; at < block.file_size; at = at == 0 ? 512 : at * 2) {
    head = detail::read_some(file.fd, at, 96);
    if (std::string_view(head).substr(0, 8) == signature) {
      block.offset = at;
      found = true;
      break;
    }
  }
  if (!found) {
    const std::string start = detail::read_some(file.fd, 0, 512);
    if (const ForeignFile foreign = recognise_foreign(path, start); !start.empty() && !foreign.what.empty())
      throw FileError({"STOFM-3504", path, "", foreign.what, "an AnnData file (.h5ad)", foreign.remedy});
    const bool cut = !start.empty() && start.size() < 8 && signature.substr(0, start.size()) == start;
    throw FileError({"STOFM-3501", path, "",
                     cut ? "the first bytes of an HDF5 file: truncated" : detail::looks_like(start),
                     "an HDF5 file (.h5ad)",
                     cut ? "Download the file again." : "Give the .h5ad file itself."});
  }
  const auto number = [&head](std::size_t at, std::size_t size) {
    return detail::little_endian(head, at, size);
  };
  block.version = static_cast<int>(number(8, 1));
  if (block.version > 3)
    throw FileError({"STOFM-3508", path, "superblock", concat("version ", block.version), "version 0 to 3",
                     "Write the file with another HDF5 version, or download it again."});
  const bool old = block.version < 2;
  const auto width = static_cast<std::size_t>(number(old ? 13 : 9, 1));
  block.address_width = width;
  block.length_width = static_cast<std::size_t>(number(old ? 14 : 10, 1));
  for (const std::size_t bytes : {width, block.length_width})
    if (bytes != 2 && bytes != 4 && bytes != 8)
      throw FileError({"STOFM-3532", path, "superblock", concat("numbers of ", bytes, " bytes"), "2, 4 or 8",
                       "The file is damaged: download it again."});
  if (block.version == 3 && (number(11, 1) & 5U) != 0)
    throw FileError({"STOFM-3503", path, "superblock",
                     (number(11, 1) & 4U) != 0 ? "a file still open for SWMR writing, or not closed cleanly"
                                               : "a file still open for writing, or not closed cleanly",
                     "a closed file",
                     "Wait for the writer; if it died, clear the flag with 'h5clear -s FILE'."});
  const std::size_t addresses = old ? (block.version == 0 ? 24U : 28U) : 12U;
  const std::uint64_t base = number(addresses, width);
  const std::uint64_t end = number(addresses + 2 * width, width);
  std::uint64_t whole = 0;
  if (__builtin_add_overflow(static_cast<std::uint64_t>(block.offset), end, &whole) ||
      base > static_cast<std::uint64_t>(block.file_size) || end == ~std::uint64_t{0})
    whole = ~std::uint64_t{0};
  // The end address counts from the start of the file when a user block is there and base says so.
  if (base != 0 && base == static_cast<std::uint64_t>(block.offset) && whole != ~std::uint64_t{0})
    whole = end;
  if (whole > static_cast<std::uint64_t>(block.file_size))
    throw FileError({"STOFM-3502", path, "", concat("truncated: has ", block.file_size, " bytes"),
                     concat("needs ", whole, " bytes"), "Download or copy the file again."});
  block.base = static_cast<std::int64_t>(base);
  block.end_address = static_cast<std::int64_t>(whole);
  return block;
}

/// As above for a path. O_NONBLOCK: opening a FIFO must not wait for its writer.
inline Hdf5Superblock check_superblock(const std::string& path) {
  return check_superblock(path,
                          detail::RawDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
}

}  // namespace stofm::io
