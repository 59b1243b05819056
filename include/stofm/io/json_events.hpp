// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the JSON scanner is told (limits, source), what it tells (events), and how it refuses.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "stofm/core/error.hpp"

namespace stofm::io {

/// What a document may cost. By default: 16 MiB, depth 64, strings of 1 MiB.
struct JsonLimits {
  std::int64_t max_bytes = std::int64_t{16} << 20;        ///< size of the text
  std::int64_t max_depth = 64;                            ///< nested arrays and objects
  std::int64_t max_values = 500'000;                      ///< scalars, arrays and objects in all
  std::int64_t max_string_bytes = std::int64_t{1} << 20;  ///< one string or key, as written
};

/// Where a text comes from, for messages.
struct JsonSource {
  std::string file;             ///< path
  std::string where;            ///< prefix of the place, for example "header"; may be empty
  std::int64_t first_byte = 0;  ///< position of the text in the file
  std::string remedy = "Mend the JSON text (a JSON checker shows the place).";
};

/// An event handler that does nothing: scanning with it checks a text. Handlers have these members;
/// `position` is the byte in the text where the key or value starts. String views live until the next event.
struct JsonNoHandler {
  void begin_object(std::int64_t /*position*/) {}
  void key(std::string_view /*name*/, std::int64_t /*position*/) {}
  void end_object() {}
  void begin_array(std::int64_t /*position*/) {}
  void end_array() {}
  void string(std::string_view /*value*/, std::int64_t /*position*/) {}
  void integer(std::int64_t /*value*/, std::int64_t /*position*/) {}
  void large_integer(std::uint64_t /*value*/, std::int64_t /*position*/) {}  ///< above 2^63 - 1
  void real(double /*value*/, std::int64_t /*position*/) {}                  ///< also integers above 2^64 - 1
  void boolean(bool /*value*/, std::int64_t /*position*/) {}
  void null(std::int64_t /*position*/) {}
};

namespace detail {

/// "byte 12 (line 2, column 5)"; bytes count from 0, lines and columns from 1.
inline std::string json_place(std::string_view text, std::int64_t position, const JsonSource& source) {
  const std::string_view before = text.substr(0, static_cast<std::size_t>(position));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return concat("byte ", source.first_byte + position, " (line ", lines + 1, ", column ", column + 1, ")");
}

[[noreturn]] inline void refuse_json(const char* code, std::string_view text, std::int64_t position,
                                     const JsonSource& source, std::string found, std::string expected) {
  std::string where = source.where + (source.where.empty() ? "" : ", ") + json_place(text, position, source);
  throw FileError(
      {code, source.file, std::move(where), std::move(found), std::move(expected), source.remedy});
}

}  // namespace detail

}  // namespace stofm::io
