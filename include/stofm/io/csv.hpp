// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CSV tables (RFC 4180): quoted fields may hold commas, quotes and line ends; every record has as many
/// fields as the header. UTF-8, a byte order mark is skipped. Numbers do not depend on the locale.
///
/// The coordinates of a slice as CSV are in io/spatial_csv.hpp, the writer in io/csv_writer.hpp.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/core/parse_double.hpp"
#include "stofm/io/file.hpp"
#include "stofm/io/utf8.hpp"

namespace stofm::io {

struct CsvOptions {
  char delimiter = ',';
  std::vector<std::string> names = {};  ///< of the columns, for a file whose first line is a record
  std::int64_t max_bytes = std::int64_t{1} << 30;
  std::int64_t max_columns = 65'536;
  std::int64_t max_field_bytes = std::int64_t{1} << 20;
};

/// A parsed table: one header record, then rows. Fields are views into the table.
class CsvTable {
 public:
  const std::string& file() const { return file_; }
  std::int64_t columns() const { return columns_; }
  /// Records behind the header.
  std::int64_t rows() const { return static_cast<std::int64_t>(lines_.size()) - 1; }
  std::string_view header(std::int64_t column) const { return field(column); }
  /// Field of a row (from 0). Indices are the caller's business: 0 <= row < rows(), 0 <= column < columns().
  std::string_view at(std::int64_t row, std::int64_t column) const {
    return field((row + 1) * columns_ + column);
  }
  /// Line of the file (from 1) where a row starts.
  std::int64_t line(std::int64_t row) const { return lines_[static_cast<std::size_t>(row + 1)]; }

  /// Index of the column with this name. \throws FileError (STOFM-3407) if there is none or more than one.
  std::int64_t column(std::string_view name) const {
    std::int64_t found = -1, count = 0;
    std::string list;
    for (std::int64_t i = 0; i < columns_; ++i) {
      if (header(i) == name && count++ == 0) found = i;
      if (i < 10) list += (i ? ", " : "") + stofm::quoted(header(i), 30);
    }
    if (count != 1)
      throw FileError({"STOFM-3407", file_, "line 1",
                       count == 0 ? "the columns " + list + (columns_ > 10 ? ", ..." : "")
                                  : concat(count, " columns named ", stofm::quoted(name, 40)),
                       "one column " + stofm::quoted(name, 40), "Rename the column in the first line."});
    return found;
  }

 private:
  friend class CsvParser;
  std::string_view field(std::int64_t i) const {
    const auto begin = i == 0 ? 0 : ends_[static_cast<std::size_t>(i - 1)];
    return std::string_view(text_).substr(
        static_cast<std::size_t>(begin),
        static_cast<std::size_t>(ends_[static_cast<std::size_t>(i)] - begin));
  }

  std::string file_, text_;          // all fields, one after the other
  std::vector<std::int64_t> ends_;   // [(rows + 1) * columns]
  std::vector<std::int64_t> lines_;  // [rows + 1]
  std::int64_t columns_ = 0;
};

/// Implementation of parse_csv.
class CsvParser {
 public:
  CsvParser(std::string_view text, const std::string& file, const CsvOptions& options)
      : text_(text), options_(options) {
    table_.file_ = file;
  }

  CsvTable parse() {
    check_encoding();
    for (const std::string& name : options_.names) {
      table_.text_.append(name);
      table_.ends_.push_back(static_cast<std::int64_t>(table_.text_.size()));
    }
    if (!options_.names.empty()) {
      table_.columns_ = static_cast<std::int64_t>(options_.names.size());
      table_.lines_.push_back(0);
    }
    while (at_ < text_.size()) read_record();
    if (table_.lines_.empty()) refuse("STOFM-3401", "an empty file", "a line with the column names");
    return std::move(table_);
  }

 private:
  [[noreturn]] void refuse(const char* code, std::string found, std::string expected,
                           std::string remedy = "Write the file again as CSV (RFC 4180, UTF-8).") const {
    throw FileError({code, table_.file_, concat("line ", line_), std::move(found), std::move(expected),
                     std::move(remedy)});
  }
  void check_encoding() {
    auto begins = [this](std::string_view mark) { return text_.substr(0, mark.size()) == mark; };
    if (begins("\x1f\x8b"))
      refuse("STOFM-3402", "gzip data", "CSV text", "Decompress the file first (gunzip).");
    if (begins("\xff\xfe") || begins("\xfe\xff"))
      refuse("STOFM-3402", "UTF-16 text", "UTF-8", "Save the file as UTF-8.");
    if (begins("PK\x03\x04"))
      refuse("STOFM-3402", "a zip file (a spreadsheet?)", "CSV text", "Export it as CSV.");
    if (begins("\xef\xbb\xbf")) at_ = 3;
  }
  bool at_line_end() const { return at_ >= text_.size() || text_[at_] == '\n' || text_[at_] == '\r'; }
  /// Steps over the line end at `at_`.
  void end_line() {
    if (at_ < text_.size() && text_[at_] == '\r') {
      ++at_;
      if (at_ < text_.size() && text_[at_] != '\n')
        refuse("STOFM-3404", "a carriage return inside a line", "line ends \\n or \\r\\n");
    }
    if (at_ < text_.size()) ++at_;
    ++line_;
  }
  void read_record() {
    if (at_line_end()) {  // an empty line: only at the end of the file
      if (blank_line_ == 0) blank_line_ = line_;
      end_line();
      return;
    }
    if (blank_line_ != 0) {
      line_ = blank_line_;
      refuse("STOFM-3405", "an empty line", "a record", "Remove the empty line.");
    }
    const std::int64_t first_line = line_;
    std::int64_t fields = 0;
    for (bool more = true; more; ++fields) {
      if (fields == options_.max_columns)
        refuse("STOFM-3406", concat("more than ", options_.max_columns, " columns"), "fewer columns");
      if (at_ < text_.size() && text_[at_] == '"')
        read_quoted();
      else
        read_plain();
      table_.ends_.push_back(static_cast<std::int64_t>(table_.text_.size()));
      more = at_ < text_.size() && text_[at_] == options_.delimiter;
      if (more) ++at_;
    }
    if (table_.lines_.empty()) table_.columns_ = fields;
    if (fields != table_.columns_) {
      line_ = first_line;
      refuse("STOFM-3405", concat(fields, " fields"), concat(table_.columns_, " fields as in the first line"),
             "Quote fields that contain the delimiter.");
    }
    table_.lines_.push_back(first_line);
    end_line();
  }
  void read_plain() {
    const std::size_t first = at_;
    while (!at_line_end() && text_[at_] != options_.delimiter) {
      if (text_[at_] == '"') refuse("STOFM-3404", "a quote inside a field", "the whole field in quotes");
      step();
    }
    append(first, at_, first);
  }
  void read_quoted() {
    const std::size_t first = ++at_;
    const std::int64_t first_line = line_;
    for (std::size_t copied = first;;) {
      if (at_ >= text_.size()) {
        line_ = first_line;
        refuse("STOFM-3403", "a quoted field without end", "a closing quote",
               "truncated? Get the file again.");
      }
      if (text_[at_] != '"') {
        line_ += text_[at_] == '\n' ? 1 : 0;
        step();
        continue;
      }
      append(copied, at_, first);
      ++at_;
      if (at_ < text_.size() && text_[at_] == '"') {
        copied = at_++;  // a doubled quote: keep the second one
        continue;
      }
      if (!at_line_end() && text_[at_] != options_.delimiter)
        refuse("STOFM-3404", "text after a closing quote", "the delimiter or the end of the line");
      return;
    }
  }
  /// One character, which must be UTF-8 and not NUL.
  void step() {
    const auto byte = static_cast<unsigned char>(text_[at_]);
    const int length = byte < 0x80 ? 1 : detail::utf8_length(text_, at_);
    if (length == 0 || byte == 0)
      refuse("STOFM-3402", concat(byte == 0 ? "a NUL" : "invalid UTF-8", " at byte ", at_), "UTF-8 text",
             "Save the file as UTF-8.");
    at_ += static_cast<std::size_t>(length);
  }
  void append(std::size_t begin, std::size_t end, std::size_t field_begin) {
    if (static_cast<std::int64_t>(end - field_begin) > options_.max_field_bytes)
      refuse("STOFM-3406", concat("a field of more than ", options_.max_field_bytes, " bytes"),
             "shorter fields");
    table_.text_.append(text_.substr(begin, end - begin));
  }

  std::string_view text_;
  const CsvOptions& options_;
  CsvTable table_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1, blank_line_ = 0;
};

/// Parses a table. *Cost* one pass; memory about the text plus 8 bytes a field.
/// \throws FileError STOFM-3401 empty, 3402 encoding, 3403 quote without end, 3404 stray quote or carriage
/// return, 3405 number of fields, 3406 too large, with the line.
inline CsvTable parse_csv(std::string_view text, const std::string& file, const CsvOptions& options = {}) {
  return detail::with_memory_errors(file, [&] { return CsvParser(text, file, options).parse(); });
}
/// Reads and parses a file. \throws as File::open and parse_csv.
inline CsvTable read_csv(const std::filesystem::path& path, const CsvOptions& options = {}) {
  const File file = File::open(path);
  return parse_csv(file.read_all(options.max_bytes), file.path(), options);
}

/// A decimal number with optional blanks around it and an optional sign: 1, -2.5, +1e3, nan, inf. Nothing if
/// the text is something else. Values out of range become 0 or inf.
inline std::optional<double> parse_decimal(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return std::nullopt;
  text = text.substr(first, text.find_last_not_of(" \t") - first + 1);
  if (text.front() == '+' && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = parse_double(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    const std::size_t exponent = text.find_first_of("eE");
    const bool tiny = exponent != std::string_view::npos && text.substr(exponent + 1, 1) == "-";
    return tiny ? 0.0 : (text.front() == '-' ? -1 : 1) * std::numeric_limits<double>::infinity();
  }
  if (error != std::errc{}) return std::nullopt;
  return value;
}

}  // namespace stofm::io
