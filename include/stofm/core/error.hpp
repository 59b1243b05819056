// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The error contract: one exception family, one text form, one exit code per kind.
///
/// Text: `<file>: <where>: found <x>, expected <y>. <remedy>`; parts that are empty are left out.
/// Content that came from a file is quoted with `quoted()`, which escapes control characters and
/// cuts at 200 bytes, so that a hostile file can not write to a terminal.

#if defined(__cplusplus) && __cplusplus < 202002L
#error "stofm is C++20: compile with -std=c++20 or later"
#endif
#if defined(__FAST_MATH__)
#error \
    "stofm needs IEEE arithmetic (NaN and inf are checked, sums keep their order): compile without -ffast-math / -Ofast"
#endif
#if defined(__GNUC__) && !defined(__cpp_exceptions) && !defined(__CUDACC__)
#error "stofm reports errors by exceptions: compile without -fno-exceptions"
#endif

#include <algorithm>
#include <concepts>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "stofm/core/compiled.hpp"
#include "stofm/core/printable.hpp"

namespace stofm {

/// What went wrong, in the granularity a caller acts on. The value is the exit code of the programs.
enum class ErrorKind : int {
  usage = 2,     ///< wrong call: options, configuration, shapes given to an op
  file = 3,      ///< a file is not what it claims to be
  data = 4,      ///< a well-formed file with content that can not be computed with
  resource = 5,  ///< memory, disk, file handles
  device = 6,    ///< no such device, or it failed
};

/// The parts of a refusal. `code` is stable ("STOFM-3101"); the words may improve between versions.
struct ErrorParts {
  std::string code;      ///< stable identifier, "STOFM-dddd"
  std::string file;      ///< path as the user gave it; empty where no file is concerned
  std::string where;     ///< tensor name, dataset path, JSON pointer, row, or "[op]"
  std::string found;     ///< what was there
  std::string expected;  ///< what is required
  std::string remedy;    ///< what to do about it, a sentence
};

/// File content made safe to print: in quotes, as printable(), and at most `limit` bytes of it.
STOFM_INLINE std::string quoted(std::string_view text, std::size_t limit = 200);

/// Base of every exception this library throws on purpose.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, ErrorParts parts);

  ErrorKind kind() const noexcept { return kind_; }
  int exit_code() const noexcept { return static_cast<int>(kind_); }
  const std::string& code() const noexcept { return parts_.code; }
  const std::string& file() const noexcept { return parts_.file; }
  const std::string& where() const noexcept { return parts_.where; }
  const std::string& found() const noexcept { return parts_.found; }
  const std::string& expected() const noexcept { return parts_.expected; }
  const std::string& remedy() const noexcept { return parts_.remedy; }
  const ErrorParts& parts() const noexcept { return parts_; }

 private:
  static std::string text_of(const ErrorParts& p);

  ErrorKind kind_;
  ErrorParts parts_;
};

/// A wrong option, configuration value or call.
class UsageError : public Error {
 public:
  explicit UsageError(ErrorParts parts);
};
/// Shapes, dtypes or layouts given to an op do not fit. Text: `[op]: found ..., expected ...`.
class ShapeError : public UsageError {
 public:
  explicit ShapeError(ErrorParts parts);
};
/// A file is not what it claims to be.
class FileError : public Error {
 public:
  explicit FileError(ErrorParts parts);
};
/// The content of a well-formed file can not be computed with.
class DataError : public Error {
 public:
  explicit DataError(ErrorParts parts);
};
/// Memory, disk or handles ran out (or would).
class ResourceError : public Error {
 public:
  explicit ResourceError(ErrorParts parts);
};
/// A device is absent or failed.
class DeviceError : public Error {
 public:
  explicit DeviceError(ErrorParts parts);
};

namespace detail {
inline void append(std::string& text, std::string_view part) { text += part; }
inline void append(std::string& text, char part) { text += part; }
template <std::integral Part>
void append(std::string& text, Part part) {
  text += std::to_string(part);
}
/// Six digits at most, a point whatever the program's locale: what a stream of the classic locale writes,
/// without the headers of streams, which every file of the library would pay for.
inline void append(std::string& text, double part) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%g", part);
  for (const char* c = digits; *c != '\0'; ++c) text += std::strchr("0123456789+-einfa", *c) ? *c : '.';
}
}  // namespace detail

/// Joins text, characters and numbers into text: `concat("row ", 3, " of ", n)`.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string text;
  (detail::append(text, parts), ...);
  return text;
}

}  // namespace stofm

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE Error::Error(ErrorKind kind, ErrorParts parts)
    : std::runtime_error(text_of(parts)), kind_(kind), parts_(std::move(parts)) {}
STOFM_INLINE UsageError::UsageError(ErrorParts parts) : Error(ErrorKind::usage, std::move(parts)) {}
STOFM_INLINE ShapeError::ShapeError(ErrorParts parts) : UsageError(std::move(parts)) {}
STOFM_INLINE FileError::FileError(ErrorParts parts) : Error(ErrorKind::file, std::move(parts)) {}
STOFM_INLINE DataError::DataError(ErrorParts parts) : Error(ErrorKind::data, std::move(parts)) {}
STOFM_INLINE ResourceError::ResourceError(ErrorParts parts) : Error(ErrorKind::resource, std::move(parts)) {}
STOFM_INLINE DeviceError::DeviceError(ErrorParts parts) : Error(ErrorKind::device, std::move(parts)) {}

STOFM_INLINE std::string Error::text_of(const ErrorParts& p) {
  std::string text;
  auto join = [&text](std::string_view separator, std::string_view piece) {
    if (piece.empty()) return;
    if (!text.empty()) text += separator;
    text += piece;
  };
  join("", p.file);
  join(": ", p.where);
  std::string statement;
  if (!p.found.empty()) statement = "found " + p.found;
  if (!p.expected.empty()) statement += (statement.empty() ? "expected " : ", expected ") + p.expected;
  join(": ", statement);
  if (!p.remedy.empty()) {
    text += text.empty() ? "" : ". ";
    text += p.remedy;
  }
  if (!p.code.empty()) text += " [" + p.code + "]";
  return text;
}

}  // namespace stofm
#endif

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto quoted(std::string_view text, std::size_t limit) -> std::string {
  const bool cut = text.size() > limit;
  std::string out = "\"";
  text = text.substr(0, limit);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = (std::min)(text.find_first_of("\"\\", at), text.size());
    out += printable(text.substr(at, end - at));
    if (end < text.size()) out.append({'\\', text[end]});
    at = end + 1;
  }
  out += cut ? "\"..." : "\"";
  return out;
}

}  // namespace stofm
#endif
