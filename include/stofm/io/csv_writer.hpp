// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Writes CSV (RFC 4180, \n line ends): fields are quoted where needed, numbers are the shortest text that
/// reads back to the same value and do not depend on the locale.

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "stofm/io/output_file.hpp"

namespace stofm::io {

/// A field as it stands in a file: quoted if it holds the delimiter, a quote, a line end, blanks at its ends
/// or a byte order mark. An empty field is quoted where it begins a row, as a row of one empty field would be
/// an empty line.
inline std::string csv_field(std::string_view text, char delimiter = ',', bool begins_row = false) {
  bool plain = text.empty() ? !begins_row : text.front() != ' ' && text.back() != ' ';
  for (const char c : text) plain = plain && c != delimiter && c != '"' && c != '\n' && c != '\r';
  if (plain && text.substr(0, 3) != "\xef\xbb\xbf") return std::string(text);
  std::string field = "\"";
  for (const char c : text) field.append(c == '"' ? 2 : 1, c);
  return field + '"';
}

/// Writes fields and rows to an open output. Usage: `csv.field("cell").field("x").end_row();`
class CsvWriter {
 public:
  explicit CsvWriter(OutputFile& output, char delimiter = ',') : output_(output), delimiter_(delimiter) {}

  /// A text field.
  CsvWriter& field(std::string_view text) {
    const bool begins_row = !started_;
    separate();
    output_.write(csv_field(text, delimiter_, begins_row));
    return *this;
  }
  CsvWriter& field(const char* text) { return field(std::string_view(text)); }
  CsvWriter& field(const std::string& text) { return field(std::string_view(text)); }
  /// A number; NaN is "nan", infinities "inf" and "-inf".
  template <class Number>
  requires(std::integral<Number> || std::floating_point<Number>) CsvWriter& field(Number value) {
    separate();
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    output_.write(std::string_view(text, static_cast<std::size_t>(end - text)));
    return *this;
  }
  void end_row() {
    output_.write("\n");
    started_ = false;
  }

 private:
  void separate() {
    if (started_) output_.write(std::string_view(&delimiter_, 1));
    started_ = true;
  }

  OutputFile& output_;
  char delimiter_;
  bool started_ = false;
};

}  // namespace stofm::io
