// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A strict JSON (RFC 8259) scanner that reports events and builds nothing: UTF-8 without BOM, one value, no
/// comments, no NaN, no key twice, bounded depth and size. It uses no recursion, so nesting costs no stack.
///
/// One class of one pass over the text, kept in one file. Errors name the byte, line and column. Both
/// io/json.hpp (documents) and io/safetensors.hpp (headers) sit on it.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/parse_double.hpp"
#include "stofm/io/json_events.hpp"
#include "stofm/io/utf8.hpp"

namespace stofm::io {

namespace detail {

/// One pass over one text.
template <class Handler>
class JsonScanner {
 public:
  JsonScanner(std::string_view text, Handler& handler, const JsonSource& source, const JsonLimits& limits)
      : text_(text), handler_(handler), source_(source), limits_(limits) {}

  void run() {
    check_encoding();
    skip_blanks();
    if (at_end()) refuse("STOFM-3201", "an empty text", "a JSON value");
    for (bool more = true; more;) {
      scan_value();
      more = after_value();
    }
    skip_blanks();
    if (!at_end()) refuse("STOFM-3211", "more text after the value: " + here(), "the end of the text");
  }

 private:
  struct Key {
    std::size_t hash;
    std::string_view name;
    std::int64_t position;
  };
  struct Frame {
    bool object;
    std::size_t first_key;
  };

  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  std::int64_t position() const { return static_cast<std::int64_t>(at_); }
  std::string here() const {
    return at_end() ? "the end of the text" : stofm::quoted(text_.substr(at_, 20), 20);
  }
  [[noreturn]] void refuse(const char* code, std::string found, std::string expected) const {
    refuse_json(code, text_, position(), source_, std::move(found), std::move(expected));
  }
  void skip_blanks() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  void check_encoding() const {
    if (static_cast<std::int64_t>(text_.size()) > limits_.max_bytes)
      refuse("STOFM-3205", concat(text_.size(), " bytes"),
             concat("at most ", limits_.max_bytes, " bytes of JSON"));
    auto begins = [this](std::string_view mark) { return text_.substr(0, mark.size()) == mark; };
    if (begins("\xef\xbb\xbf")) refuse("STOFM-3203", "a byte order mark", "UTF-8 without one");
    if (begins("\xff\xfe") || begins("\xfe\xff") ||
        (text_.size() >= 2 && (text_[0] == '\0' || text_[1] == '\0') && text_[0] != text_[1]))
      refuse("STOFM-3203", "UTF-16 or UTF-32 text", "UTF-8");
  }

  /// A value up to its end, or the opening bracket of a non-empty array or object (then its first element is
  /// next).
  void scan_value() {
    for (;;) {
      skip_blanks();
      if (++values_ > limits_.max_values)
        refuse("STOFM-3209", concat("more than ", limits_.max_values, " values"),
               concat("at most the cap of ", limits_.max_values, " values"));
      const std::int64_t start = position();
      switch (peek()) {
        case '{':
          open(true);
          handler_.begin_object(start);
          if (closes('}')) return;
          scan_key();
          continue;
        case '[':
          open(false);
          handler_.begin_array(start);
          if (closes(']')) return;
          continue;
        case '"':
          handler_.string(scan_string(), start);
          return;
        case 't':
          expect_word("true");
          handler_.boolean(true, start);
          return;
        case 'f':
          expect_word("false");
          handler_.boolean(false, start);
          return;
        case 'n':
          expect_word("null");
          handler_.null(start);
          return;
        default:
          scan_number();
          return;
      }
    }
  }
  /// Moves behind a value: over the comma (and key) to the next one, or out of closed brackets. False at the
  /// end.
  bool after_value() {
    while (!frames_.empty()) {
      skip_blanks();
      const bool object = frames_.back().object;
      if (peek() == ',' && !at_end()) {
        ++at_;
        if (object) scan_key();
        return true;
      }
      if (at_end() || peek() != (object ? '}' : ']'))
        refuse("STOFM-3201", here(), object ? "\",\" or \"}\"" : "\",\" or \"]\"");
      close();
    }
    return false;
  }
  void open(bool object) {
    if (static_cast<std::int64_t>(frames_.size()) >= limits_.max_depth)
      refuse("STOFM-3204", concat("a depth of more than ", limits_.max_depth, " nested arrays and objects"),
             concat("a depth of at most ", limits_.max_depth));
    ++at_;
    frames_.push_back({object, keys_.size()});
  }
  bool closes(char bracket) {
    skip_blanks();
    if (at_end() || peek() != bracket) return false;
    close();
    return true;
  }
  void close() {
    ++at_;
    const Frame frame = frames_.back();
    frames_.pop_back();
    if (!frame.object) {
      handler_.end_array();
      return;
    }
    check_keys(frame.first_key);
    keys_.resize(frame.first_key);
    if (frames_.empty()) decoded_keys_.clear();
    handler_.end_object();
  }
  void check_keys(std::size_t first) {
    const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, keys_.end(), [](const Key& a, const Key& b) {
      return a.hash != b.hash   ? a.hash < b.hash
             : a.name != b.name ? a.name < b.name
                                : a.position < b.position;
    });
    const auto twice = std::adjacent_find(
        begin, keys_.end(), [](const Key& a, const Key& b) { return a.hash == b.hash && a.name == b.name; });
    if (twice == keys_.end()) return;
    refuse_json("STOFM-3206", text_, (twice + 1)->position, source_,
                concat("the key ", stofm::quoted(twice->name), " twice: at ",
                       json_place(text_, twice->position, source_), " and again here"),
                "each key once");
  }
  void scan_key() {
    skip_blanks();
    const std::int64_t start = position();
    if (at_end() || peek() != '"') refuse("STOFM-3201", here(), "a key in double quotes");
    std::string_view name = scan_string();
    if (!inside_text(name)) name = decoded_keys_.emplace_back(name);
    keys_.push_back({std::hash<std::string_view>{}(name), name, start});
    handler_.key(name, start);
    skip_blanks();
    if (at_end() || peek() != ':') refuse("STOFM-3201", here(), "\":\" after the key");
    ++at_;
  }
  bool inside_text(std::string_view view) const {
    return view.data() >= text_.data() && view.data() + view.size() <= text_.data() + text_.size();
  }
  void expect_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) refuse("STOFM-3201", here(), "a JSON value");
    at_ += word.size();
  }

  /// The string at the opening quote, decoded: a view of the text if it has no escapes, else of `decoded_`.
  std::string_view scan_string() {
    const std::size_t first = ++at_;
    std::size_t copied = first;
    bool escaped = false;
    for (;;) {
      if (at_end()) refuse("STOFM-3201", "the end of the text in a string", "a closing quote");
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if (static_cast<std::int64_t>(at_ - first) > limits_.max_string_bytes)
        refuse("STOFM-3210", concat("a string of more than ", limits_.max_string_bytes, " bytes"),
               "shorter strings");
      if (byte == '"') break;
      if (byte < 0x20)
        refuse("STOFM-3201", "a control character in a string: " + here(), "an escape such as \\n");
      if (byte == '\\') {
        if (!escaped) decoded_.clear();
        escaped = true;
        decoded_.append(text_.substr(copied, at_ - copied));
        scan_escape();
        copied = at_;
        continue;
      }
      const int length = byte < 0x80 ? 1 : utf8_length(text_, at_);
      if (length == 0) refuse("STOFM-3202", "invalid UTF-8: " + here(), "UTF-8 text");
      at_ += static_cast<std::size_t>(length);
    }
    const std::size_t last = at_++;
    if (!escaped) return text_.substr(first, last - first);
    decoded_.append(text_.substr(copied, last - copied));
    return decoded_;
  }
  void scan_escape() {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    static constexpr std::string_view letters = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
    if (const std::size_t i = letters.find(kind); kind != '\0' && i != std::string_view::npos) {
      decoded_ += values[i];
      at_ += 2;
      return;
    }
    if (kind != 'u') refuse("STOFM-3201", here(), "an escape of JSON (\\n, \\u0041, ...)");
    unsigned unit = scan_unit();
    if (unit >= 0xdc00 && unit <= 0xdfff) refuse_surrogate();
    if (unit >= 0xd800 && unit <= 0xdbff) {
      if (text_.substr(at_, 2) != "\\u") refuse_surrogate();
      const unsigned low = scan_unit();
      if (low < 0xdc00 || low > 0xdfff) refuse_surrogate();
      unit = 0x10000U + ((unit - 0xd800U) << 10) + (low - 0xdc00U);
    }
    append_utf8(decoded_, unit);
  }
  [[noreturn]] void refuse_surrogate() const {
    refuse("STOFM-3208", "a lone surrogate escape near " + here(), "a pair \\uD8xx\\uDCxx or plain UTF-8");
  }
  unsigned scan_unit() {
    unsigned unit = 0;
    const std::string_view digits = text_.substr((std::min)(at_ + 2, text_.size()), 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (error != std::errc{} || end != digits.data() + 4)
      refuse("STOFM-3201", here(), "\\u and four hex digits");
    at_ += 6;
    return unit;
  }

  void scan_number() {
    const std::size_t first = at_;
    const std::int64_t start = position();
    auto digits = [this] {
      const std::size_t from = at_;
      while (!at_end() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
      return at_ - from;
    };
    auto refuse_here = [&](const char* expected) {
      at_ = first;
      refuse("STOFM-3201", here(), expected);
    };
    bool whole = true;
    if (peek() == '-') ++at_;
    const std::size_t leading = at_, count = digits();
    if (count == 0) refuse_here("a JSON value");
    if (count > 1 && text_[leading] == '0') refuse_here("a number without leading zeros");
    if (peek() == '.') {
      whole = false;
      ++at_;
      if (digits() == 0) refuse_here("digits after the decimal point");
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (digits() == 0) refuse_here("digits in the exponent");
    }
    const std::string_view token = text_.substr(first, at_ - first);
    const char* end = token.data() + token.size();
    if (std::int64_t value = 0; whole && std::from_chars(token.data(), end, value).ec == std::errc{})
      return handler_.integer(value, start);
    if (std::uint64_t value = 0; whole && std::from_chars(token.data(), end, value).ec == std::errc{})
      return handler_.large_integer(value, start);
    double value = 0;
    if (parse_double(token.data(), end, value).ec == std::errc::result_out_of_range) {
      if (exceeds_one(token)) {
        at_ = first;
        refuse("STOFM-3207", "the number " + stofm::quoted(token, 40), "a number that a double can hold");
      }
      value = token.front() == '-' ? -0.0 : 0.0;  // closer to 0 than the smallest double
    }
    handler_.real(value, start);
  }
  /// For a number out of the range of double: whether it is too large (else too small).
  static bool exceeds_one(std::string_view token) {
    const std::size_t exponent_at = (std::min)(token.find_first_of("eE"), token.size());
    const std::string_view mantissa = token.substr(0, exponent_at);
    const std::size_t point = (std::min)(mantissa.find('.'), mantissa.size());
    const std::size_t nonzero = mantissa.find_first_of("123456789");
    if (nonzero == std::string_view::npos) return false;
    std::int64_t exponent = 0;
    if (exponent_at < token.size()) {
      const bool negative = token[exponent_at + 1] == '-', sign = negative || token[exponent_at + 1] == '+';
      const char* begin = token.data() + exponent_at + 1 + (sign ? 1 : 0);
      constexpr std::int64_t huge = std::int64_t{1} << 60;
      if (std::from_chars(begin, token.data() + token.size(), exponent).ec != std::errc{}) exponent = huge;
      exponent = negative ? -(std::min)(exponent, huge) : (std::min)(exponent, huge);
    }
    return exponent + static_cast<std::int64_t>(point) - static_cast<std::int64_t>(nonzero) > 0;
  }

  std::string_view text_;
  Handler& handler_;
  const JsonSource& source_;
  const JsonLimits& limits_;
  std::size_t at_ = 0;
  std::int64_t values_ = 0;
  std::vector<Frame> frames_;
  std::vector<Key> keys_;
  std::deque<std::string> decoded_keys_;
  std::string decoded_;
};

}  // namespace detail

/// Scans one JSON text and reports its parts to `handler`. Keys are reported before the check for repeated
/// ones, which happens at the end of each object. *Cost* one pass; memory grows with the keys of the open
/// objects. \throws FileError STOFM-3201 syntax, 3202 UTF-8, 3203 encoding, 3204 depth, 3205 size, 3206 key
/// twice, 3207 number too large, 3208 lone surrogate, 3209 too many values, 3210 string too long, 3211 text
/// after the end.
template <class Handler>
void scan_json(std::string_view text, Handler& handler, const JsonSource& source,
               const JsonLimits& limits = {}) {
  detail::JsonScanner<Handler>(text, handler, source, limits).run();
}

}  // namespace stofm::io
