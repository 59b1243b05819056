// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A delimited table read line by line: comma, tab, semicolon or blanks, quotes, with or without a line of
/// names. Rows are not kept.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/lower_case.hpp"
#include "stofm/io/csv.hpp"
#include "stofm/io/import/text_lines.hpp"

namespace stofm::io {

/// Cuts a line into fields. Quoted fields may hold the delimiter and doubled quotes, but no line end.
/// `unquoted`: what fields are copied to whose quotes were taken off; it must live as long as they do.
/// \return false if a quote has no end
inline bool split_fields(std::string_view line, char delimiter, std::vector<std::string_view>& fields,
                         std::string& unquoted) {
  fields.clear();
  const auto blanks = delimiter == ' ';
  const auto skip = [&](std::size_t at) {
    while (blanks && at < line.size() && (line[at] == ' ' || line[at] == '\t')) ++at;
    return at;
  };
  const auto ends = [&](char c) { return c == delimiter || (blanks && c == '\t'); };
  unquoted.clear();
  unquoted.reserve(line.size());  // views into it stay
  for (std::size_t at = skip(0); at <= line.size();) {
    if (blanks && at == line.size()) break;
    if (at < line.size() && line[at] == '"') {
      const std::size_t begin = unquoted.size();
      for (++at;; ++at) {
        if (at >= line.size()) return false;
        if (line[at] == '"' && (at + 1 >= line.size() || line[at + 1] != '"')) break;
        if (line[at] == '"') ++at;
        unquoted.push_back(line[at]);
      }
      ++at;
      if (at < line.size() && !ends(line[at])) return false;
      fields.emplace_back(unquoted.data() + begin, unquoted.size() - begin);
    } else {
      const std::size_t begin = at;
      while (at < line.size() && !ends(line[at])) ++at;
      fields.push_back(line.substr(begin, at - begin));
    }
    if (at >= line.size()) break;
    at = skip(at + 1);
    if (!blanks && at == line.size()) fields.emplace_back();  // "a," has two fields
    if (at == line.size()) break;
  }
  return true;
}

/// The one of tab, comma, semicolon and blank that cuts the line into most fields; comma if none does.
inline char find_delimiter(std::string_view line) {
  char best = ',';
  std::int64_t most = 0;
  for (const char delimiter : {',', '\t', ';', ' '}) {
    bool inside = false;
    std::int64_t count = 0;
    for (const char c : line) {
      if (c == '"') inside = !inside;
      if (!inside && c == delimiter) ++count;
    }
    if (count > most && (delimiter != ' ' || most == 0)) most = count, best = delimiter;
  }
  return best;
}

/// A count or a coordinate: digits the quick way, else as parse_decimal.
inline std::optional<double> parse_table_number(std::string_view text) {
  if (!text.empty() && text.size() <= 15) {
    std::int64_t value = 0;
    std::size_t i = 0;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) value = 10 * value + (text[i] - '0');
    if (i == text.size()) return static_cast<double>(value);
  }
  return parse_decimal(text);
}

struct DelimitedOptions {
  char delimiter = '\0';             ///< '\0': found in the first line
  std::string comment{};             ///< lines that begin with it are skipped at the top
  std::vector<std::string> names{};  ///< of the columns, for a file whose first line is a record
  ReadingProgress progress = {};
};

class DelimitedTable {
 public:
  /// Opens, and reads the names. \throws FileError STOFM-3906 an empty file, and as TextLines
  explicit DelimitedTable(const std::filesystem::path& path, DelimitedOptions options = {})
      : lines_(path, options.progress), delimiter_(options.delimiter) {
    std::string_view line;
    do {
      if (!lines_.next(line))
        lines_.fail("STOFM-3906", "an empty file", "a table with at least a line", "Get the file again.");
      if (!options.comment.empty() && line.starts_with(options.comment)) comments_.emplace_back(line);
    } while (line.empty() || (!options.comment.empty() && line.starts_with(options.comment)));
    if (delimiter_ == '\0') delimiter_ = find_delimiter(line);
    split(line);
    if (fields_.empty()) fail("a line of blanks", "the names of the columns", "Get the file again.");
    if (options.names.empty()) {
      for (const std::string_view field : fields_) names_.push_back(text(field));
    } else {
      names_ = std::move(options.names);
      held_ = true;
    }
  }

  /// The first line is a record, not names; they are `names`. Call before the first next().
  void first_line_is_record(std::vector<std::string> names) {
    names_ = std::move(names);
    held_ = true;
  }

  const std::vector<std::string>& names() const { return names_; }
  const std::vector<std::string>& comments() const { return comments_; }  ///< lines skipped at the top
  const std::string& path() const { return lines_.path(); }
  std::int64_t line() const { return lines_.line(); }
  std::size_t columns() const { return names_.size(); }
  char delimiter() const { return delimiter_; }

  /// Where the column is; -1 if there is none. Case does not matter where only one fits.
  std::int64_t find(std::string_view name) const {
    std::int64_t found = -1;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return static_cast<std::int64_t>(i);
      if (lower_case(names_[i]) == lower_case(name)) found = static_cast<std::int64_t>(i);
    }
    return found;
  }
  /// The first of these columns that is there. \throws FileError (STOFM-3907) if none is
  std::size_t require(std::initializer_list<std::string_view> candidates, const char* remedy) const {
    std::string list;
    for (const std::string_view name : candidates) {
      if (const std::int64_t found = find(name); found >= 0) return static_cast<std::size_t>(found);
      list += (list.empty() ? "" : " or ") + stofm::quoted(name, 60);
    }
    std::string have;
    for (std::size_t i = 0; i < (std::min<std::size_t>)(names_.size(), 12); ++i)
      have += (i > 0 ? ", " : "") + stofm::quoted(names_[i], 40);
    throw FileError({"STOFM-3907", path(), "line 1",
                     "the columns " + have + (names_.size() > 12 ? ", ..." : ""), "a column " + list,
                     remedy});
  }

  /// The next record; its fields live until the next call. Empty lines at the end are skipped.
  /// \throws FileError STOFM-3906 another number of fields
  bool next() {
    if (!std::exchange(held_, false)) {
      std::string_view line;
      do {
        if (!lines_.next(line)) return false;
        if (line.empty()) ++empty_lines_;
      } while (line.empty());
      if (std::exchange(empty_lines_, 0) > 0)
        fail("an empty line above", "a record in each line", "Remove the empty line.");
      split(line);
    }
    if (fields_.size() != names_.size()) {
      if (rows_ == 0 && fields_.size() == names_.size() + 1) {
        names_.insert(names_.begin(), std::string());  // R's write.table: no name above the row names
      } else {
        fail(concat(fields_.size(), " fields"), concat(names_.size(), " fields as in the first line"),
             "The file is cut short, or a field holds the delimiter without quotes: get it again.");
      }
    }
    ++rows_;
    return true;
  }
  std::int64_t rows() const { return rows_; }  ///< given so far
  std::string_view field(std::size_t column) const { return fields_[column]; }
  const std::vector<std::string_view>& fields() const { return fields_; }

  /// A field as text: UTF-8, without blanks around it. \throws FileError (STOFM-3905)
  std::string text(std::string_view field) const {
    const std::size_t first = field.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    field = field.substr(first, field.find_last_not_of(" \t") - first + 1);
    for (std::size_t at = 0; at < field.size();) {
      const auto byte = static_cast<unsigned char>(field[at]);
      const int length = byte < 0x80 ? 1 : detail::utf8_length(field, at);
      if (length == 0 || byte == 0 || byte == '\r')
        lines_.fail("STOFM-3905",
                    byte == 0      ? "a NUL"
                    : byte == '\r' ? "a carriage return inside a line"
                                   : "invalid UTF-8",
                    "UTF-8 text with line ends \\n or \\r\\n", "Save the file as UTF-8.");
      at += static_cast<std::size_t>(length);
    }
    return std::string(field);
  }
  std::string text(std::size_t column) const { return text(fields_[column]); }

  /// A coordinate; an empty field and "NA" are NaN. \throws FileError (STOFM-3908)
  double coordinate(std::size_t column) const {
    const std::string_view field = fields_[column];
    if (field.empty() || field == "NA") return std::nan("");
    if (const auto value = parse_table_number(field)) return *value;
    fail_number(column, "a number");
  }
  /// A count: finite, not negative. \throws FileError STOFM-3908 no number, 3909 negative or not finite
  double count(std::size_t column) const {
    const auto value = parse_table_number(fields_[column]);
    if (!value) fail_number(column, "a count");
    if (!(*value >= 0) || std::isinf(*value))
      lines_.fail(
          "STOFM-3909",
          concat(stofm::quoted(fields_[column], 40), " in column ", stofm::quoted(names_[column], 40)),
          "counts that are finite and not negative", "Give the table of raw counts.");
    return *value;
  }
  [[noreturn]] void fail(std::string found, std::string expected, std::string remedy) const {
    lines_.fail("STOFM-3906", std::move(found), std::move(expected), std::move(remedy));
  }

 private:
  [[noreturn]] void fail_number(std::size_t column, const char* expected) const {
    lines_.fail("STOFM-3908",
                concat(stofm::quoted(fields_[column], 40), " in column ", stofm::quoted(names_[column], 40)),
                expected, "Check the file, or name other columns.");
  }
  void split(std::string_view line) {
    if (!split_fields(line, delimiter_, fields_, unquoted_))
      fail("a quoted field without end", "a closing quote and then the delimiter",
           "The file is cut short, or has quotes inside of fields: get it again.");
  }

  TextLines lines_;
  char delimiter_;
  std::vector<std::string> names_, comments_;
  std::vector<std::string_view> fields_;
  std::string unquoted_;
  bool held_ = false;
  std::int64_t empty_lines_ = 0, rows_ = 0;
};

}  // namespace stofm::io
