// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The lines of a text file, plain or gzip, one after the other in bounded memory: tables of several
/// gigabytes as instruments write them. Needs zlib, which comes with libhdf5.
///
/// UTF-8 (a byte order mark is skipped); lines end in \n or \r\n. Members of gzip follow each other (bgzip),
/// each is checked by its CRC.

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "stofm/core/error.hpp"
#include "stofm/io/file.hpp"
#include "stofm/io/gzip.hpp"

namespace stofm::io {

/// Longest line: a row of a table of 10^7 barcodes.
inline constexpr std::size_t text_line_limit = std::size_t{256} << 20;

/// Called for every piece read: bytes of the file as it is stored, read so far and in all. May be empty.
using ReadingProgress = std::function<void(std::int64_t done, std::int64_t total)>;

class TextLines {
 public:
  /// \throws as File::open; FileError STOFM-3905 for what is no text
  explicit TextLines(const std::filesystem::path& path, ReadingProgress progress = {})
      : file_(File::open(path)), progress_(std::move(progress)) {
    std::string head(static_cast<std::size_t>((std::min<std::int64_t>)(file_.size(), 4)), '\0');
    file_.read(head.data(), 0, static_cast<std::int64_t>(head.size()));
    if (is_gzip(head)) start_inflating();
    refuse_foreign(head);
    fill();
    const std::string_view first = std::string_view(window_).substr(0, 3);
    if (first == "\xef\xbb\xbf") at_ = 3;
    if (first.starts_with("\xff\xfe") || first.starts_with("\xfe\xff")) refuse_kind("UTF-16 text");
    if (inflate_ && first.starts_with("PAR1")) refuse_kind("a Parquet file");
  }
  TextLines(TextLines&&) = default;

  /// The next line without its end; it lives until the next call. \return false behind the last
  bool next(std::string_view& line) {
    for (std::size_t looked = at_;;) {
      const void* end = looked < window_.size()
                            ? std::memchr(window_.data() + looked, '\n', window_.size() - looked)
                            : nullptr;
      if (end != nullptr) {
        const auto stop = static_cast<std::size_t>(static_cast<const char*>(end) - window_.data());
        line = take(stop, stop + 1);
        return true;
      }
      if (finished_) {
        if (at_ >= window_.size()) return false;
        line = take(window_.size(), window_.size());
        return true;
      }
      if (window_.size() - at_ > text_line_limit)
        fail("STOFM-3906", concat("a line of more than ", text_line_limit, " bytes"), "shorter lines",
             "Check that it is the right file.");
      looked = window_.size() - at_;
      fill();
    }
  }

  /// The next bytes as they come, for text whose lines mean nothing; not between calls of next().
  /// \return false behind the last
  bool next_piece(std::string_view& bytes) {
    if (at_ >= window_.size() && !finished_) fill();
    bytes = std::string_view(window_).substr(at_);
    at_ = window_.size();
    return !bytes.empty();
  }

  const std::string& path() const { return file_.path(); }
  std::int64_t line() const { return line_; }  ///< of the last line given, from 1
  std::string place() const { return concat("line ", line_); }

  [[noreturn]] void fail(const char* code, std::string found, std::string expected,
                         std::string remedy) const {
    throw FileError({code, path(), line_ > 0 ? place() : std::string(), std::move(found), std::move(expected),
                     std::move(remedy)});
  }

 private:
  static constexpr std::size_t piece = std::size_t{1} << 20;

  /// zlib's state is found by its address, so it does not move.
  struct Inflate {
    z_stream stream{};
    std::string stored;
    bool inside = false;  ///< of a member
    ~Inflate() { inflateEnd(&stream); }
  };

  [[noreturn]] void refuse_kind(const char* found) const {
    fail("STOFM-3905", found, "a table as text (UTF-8)", "Export it as CSV, or give the table of that name.");
  }
  void refuse_foreign(std::string_view head) const {
    if (head.starts_with("PAR1")) refuse_kind("a Parquet file");
    if (head.starts_with("PK\x03\x04")) refuse_kind("a zip file (a spreadsheet?)");
    if (head.starts_with("\x89HDF")) refuse_kind("an HDF5 file");
    if (head.starts_with("BZh") ||
        head.starts_with("\xfd"
                         "7zX") ||
        head.starts_with("\x28\xb5\x2f\xfd"))
      fail("STOFM-3905", "a file compressed by bzip2, xz or zstd", "text, plain or gzip", "Unpack it first.");
  }
  [[noreturn]] void damaged(const std::string& found) const {
    throw FileError({"STOFM-3904", path(), concat("byte ", read_, " of ", file_.size()), found,
                     "a whole gzip file", "The file is damaged or cut short: get it again."});
  }

  std::string_view take(std::size_t stop, std::size_t next) {
    std::string_view line(window_.data() + at_, stop - at_);
    at_ = next;
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  void start_inflating() {
    inflate_ = std::make_unique<Inflate>();
    if (inflateInit2(&inflate_->stream, 15 + 16) != Z_OK)
      throw ResourceError({"STOFM-5013", path(), "memory", "no memory from the system", "64 KiB for zlib",
                           "End other programs."});
  }

  /// Drops what was given out and appends the next piece.
  void fill() {
    if (progress_) progress_(read_, file_.size());
    window_.erase(0, at_);
    at_ = 0;
    const std::size_t have = window_.size();
    if (!inflate_) {
      const auto count = static_cast<std::size_t>(
          (std::min<std::int64_t>)(static_cast<std::int64_t>(piece), file_.size() - read_));
      window_.resize(have + count);
      file_.read(window_.data() + have, read_, static_cast<std::int64_t>(count));
      read_ += static_cast<std::int64_t>(count);
      finished_ = read_ >= file_.size();
      return;
    }
    window_.resize(have + piece);
    const std::size_t made = inflate_piece(window_.data() + have);
    window_.resize(have + made);
  }

  std::size_t inflate_piece(char* out) {
    z_stream& stream = inflate_->stream;
    stream.next_out = reinterpret_cast<Bytef*>(out);
    stream.avail_out = static_cast<uInt>(piece);
    while (stream.avail_out > 0) {
      if (stream.avail_in == 0) {
        std::string& stored = inflate_->stored;
        stored.resize(
            static_cast<std::size_t>((std::min<std::int64_t>)(std::int64_t{1} << 18, file_.size() - read_)));
        if (stored.empty()) {
          if (inflate_->inside) damaged("the end of the file inside of the data");
          finished_ = true;
          break;
        }
        file_.read(stored.data(), read_, static_cast<std::int64_t>(stored.size()));
        read_ += static_cast<std::int64_t>(stored.size());
        stream.next_in = reinterpret_cast<Bytef*>(stored.data());
        stream.avail_in = static_cast<uInt>(stored.size());
      }
      if (!inflate_->inside && !first_) {  // zeros behind a member are padding
        while (stream.avail_in > 0 && *stream.next_in == 0) ++stream.next_in, --stream.avail_in;
        if (stream.avail_in == 0) continue;
      }
      inflate_->inside = true;
      first_ = false;
      const int status = inflate(&stream, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        inflate_->inside = false;
        inflateReset(&stream);
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        damaged(stream.msg != nullptr ? concat("data that gzip did not write (", stream.msg, ")")
                                      : std::string("data that gzip did not write"));
      }
    }
    return piece - stream.avail_out;
  }

  File file_;
  ReadingProgress progress_;
  std::unique_ptr<Inflate> inflate_;
  std::string window_;
  std::size_t at_ = 0;
  std::int64_t line_ = 0, read_ = 0;
  bool finished_ = false, first_ = true;
};

}  // namespace stofm::io
