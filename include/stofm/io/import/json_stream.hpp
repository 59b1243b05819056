// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A JSON text of any size, plain or gzip, value by value: only the value at hand is in memory. Here brackets
/// and strings are told apart, no more; that each value is JSON is checked by io/json_scanner.hpp.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "stofm/io/import/text_lines.hpp"
#include "stofm/io/json_scanner.hpp"

namespace stofm::io {

/// Longest value that is held. The outline of a cell has a few kilobytes.
inline constexpr std::size_t json_value_limit = std::size_t{16} << 20;

class JsonStream {
 public:
  /// \throws as TextLines
  explicit JsonStream(const std::filesystem::path& path, ReadingProgress progress = {})
      : text_(path, std::move(progress)) {}

  const std::string& path() const { return text_.path(); }
  /// Bytes before the next one; of a gzip file, unpacked.
  std::int64_t byte() const { return before_ + static_cast<std::int64_t>(at_); }

  /// The next character that is no blank, which stays where it is; '\0' at the end.
  char peek() {
    while (more() && is_blank(piece_[at_])) ++at_;
    return more() ? piece_[at_] : '\0';
  }
  /// True, and it is taken, if `wanted` is next.
  bool take(char wanted) {
    if (peek() != wanted || !more()) return false;
    ++at_;
    return true;
  }
  /// \throws FileError (STOFM-3201) if something else is next
  void expect(char wanted) {
    if (!take(wanted)) fail("STOFM-3201", found(), stofm::quoted(std::string(1, wanted), 3));
  }
  /// \throws FileError (STOFM-3211) for more text
  void expect_end() {
    if (peek(); more()) fail("STOFM-3211", concat("more text: ", found()), "the end of the file");
  }

  /// The next value as it is written, up to its end; it lives until the next call. `start`: its first byte.
  /// \throws FileError STOFM-3201 none there, no end; 3205 more than json_value_limit bytes
  std::string_view value(std::int64_t& start) {
    value_.clear();
    std::int64_t depth = 0;
    bool string = false, escaped = false;
    const char first = peek();
    start = byte();
    const bool bare = first != '{' && first != '[' && first != '"';
    for (; more(); ++at_) {
      const char c = piece_[at_];
      if (bare && (c == ',' || c == '}' || c == ']' || is_blank(c))) break;
      if (value_.size() >= json_value_limit)
        fail("STOFM-3205", concat("a value of more than ", json_value_limit, " bytes"), "shorter values");
      value_.push_back(c);
      if (string) {
        if (!escaped && c == '"') string = false;
        escaped = !escaped && c == '\\';
      } else if (c == '"') {
        string = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        --depth;
      }
      if (!bare && depth == 0 && !string) {
        ++at_;
        return value_;
      }
    }
    if (!bare || value_.empty())
      fail("STOFM-3201", found(), value_.empty() ? "a value" : "the end of a value");
    return value_;
  }

  /// A value that must be a string, decoded. \throws FileError as scan_json
  std::string string() {
    struct Text : JsonNoHandler {
      std::string text;
      void string(std::string_view decoded, std::int64_t) { text = decoded; }
    } reader;
    if (peek() != '"') fail("STOFM-3201", found(), "a key in double quotes");
    std::int64_t start = 0;
    const std::string_view whole = value(start);
    scan_json(whole, reader, source("", start));
    return std::move(reader.text);
  }

  /// What scan_json is told about a value that begins at `start`.
  JsonSource source(std::string where, std::int64_t start) const {
    return {path(), std::move(where), start, again};
  }
  [[noreturn]] void fail(const char* code, std::string what, std::string expected) const {
    throw FileError({code, path(), concat("byte ", byte()), std::move(what), std::move(expected), again});
  }

 private:
  static constexpr const char* again = "The file is damaged or cut short: get it again.";

  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  bool more() {
    while (at_ >= piece_.size()) {
      before_ += static_cast<std::int64_t>(piece_.size());
      at_ = 0;
      if (!text_.next_piece(piece_)) return false;
    }
    return true;
  }
  std::string found() {
    return more() ? stofm::quoted(piece_.substr(at_, 20), 20) : std::string("the end of the file");
  }

  TextLines text_;
  std::string_view piece_;
  std::size_t at_ = 0;
  std::int64_t before_ = 0;
  std::string value_;
};

}  // namespace stofm::io
