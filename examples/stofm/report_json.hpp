// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pieces that the reports are put together from: numbers, lists and bytes as JSON, the start of the page.

#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "console.hpp"

namespace stofm::program {

/// Bytes as base64, quoted.
inline std::string base64_text(const void* data, std::size_t size) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::string out = "\"";
  out.reserve(size / 3 * 4 + 8);
  for (std::size_t i = 0; i < size; i += 3) {
    const std::size_t left = size - i;
    const unsigned word = static_cast<unsigned>(bytes[i]) << 16 |
                          (left > 1 ? static_cast<unsigned>(bytes[i + 1]) << 8 : 0U) |
                          (left > 2 ? static_cast<unsigned>(bytes[i + 2]) : 0U);
    out += digits[word >> 18 & 63];
    out += digits[word >> 12 & 63];
    out += left > 1 ? digits[word >> 6 & 63] : '=';
    out += left > 2 ? digits[word & 63] : '=';
  }
  return out + '"';
}

/// A number as JSON; what is not finite becomes 0.
inline std::string json_number(double value) {
  if (!std::isfinite(value)) return "0";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// A number as JSON; what is not finite becomes null.
inline std::string json_number_or_null(double value) {
  return std::isfinite(value) ? json_number(value) : "null";
}

template <class Values, class Text>
std::string json_list(const Values& values, Text&& text) {
  std::string out = "[";
  for (const auto& value : values) out.append(out.size() > 1 ? "," : "").append(text(value));
  return out + "]";
}

/// `"key":value` at the end of an object that is being written, after a comma where one is due.
inline void add_json_member(std::string& object, const char* key, const std::string& value) {
  if (object.back() != '{') object += ",\n";
  object.append("\"").append(key).append("\":").append(value);
}

inline std::string json_pair(const std::pair<std::string, std::string>& pair) {
  return concat("[", json_text(pair.first), ",", json_text(pair.second), "]");
}

/// Everything up to the body. The content security policy forbids any request.
inline std::string report_page_start(const char* title, const std::string& style) {
  return concat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<meta name=\"generator\" content=\"stofm\"><title>",
      title, "</title>\n<style>", style, "</style></head>\n<body>");
}

}  // namespace stofm::program
