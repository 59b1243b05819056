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

/// Writes fields and rows to an open output. Usage: `csv.field("cell").field("x").end_row();`
class CsvWriter {
 public:
  explicit CsvWriter(OutputFile& output, char delimiter = ',') : output_(output), delimiter_(delimiter) {}

  /// A text field; quoted if it holds the delimiter, a quote, a line end, or blanks at its ends.
  CsvWriter& field(std::string_view text) {
    separate();
    bool plain = text.empty() || (text.front() != ' ' && text.back() != ' ');
    for (const char c : text) plain = plain && c != delimiter_ && c != '"' && c != '\n' && c != '\r';
    // A row of one empty field would be an empty line, and a leading byte order mark would be skipped.
    if (plain && !(text.empty() && first_) && text.substr(0, 3) != "\xef\xbb\xbf") {
      output_.write(text);
      return *this;
    }
    std::string quoted_text = "\"";
    for (const char c : text) quoted_text.append(c == '"' ? 2 : 1, c);
    output_.write(quoted_text + '"');
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
    first_ = true;
    started_ = false;
  }

 private:
  void separate() {
    first_ = !started_;
    if (started_) output_.write(std::string_view(&delimiter_, 1));
    started_ = true;
  }

  OutputFile& output_;
  char delimiter_;
  bool first_ = true, started_ = false;
};

}  // namespace stofm::io
