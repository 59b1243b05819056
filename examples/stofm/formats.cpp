// SPDX-License-Identifier: MIT
/// \file
/// Numbers and texts as they are shown; declared in console.hpp.

#include <cmath>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>

#include "console.hpp"
#include "stofm/core/printable.hpp"
#include "stofm/core/with_commas.hpp"

namespace stofm::program {

std::string format_count(std::int64_t n) { return with_commas(n); }

std::string sliver_text(std::int64_t pieces, std::int64_t cells, std::int64_t limit) {
  return concat(format_count(cells), cells == 1 ? " cell is" : " cells are", " in ", format_count(pieces),
                pieces == 1 ? " sub-slice" : " sub-slices", " of fewer than ", format_count(limit),
                " cells, with few surroundings to see; --merge-slivers joins such pieces to a neighbour");
}

std::string format_number(double value, int digits) {
  char text[64];
  const double size = std::fabs(value);
  if (size >= 1000 && size < 1e15) return format_count(std::llround(value));
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string format_bytes(double bytes) {
  static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < std::size(units); ++unit) bytes /= 1000;
  return format_number(bytes) + " " + units[unit];
}

std::string format_seconds(double seconds) {
  if (seconds < 0.1) return format_number(std::round(seconds * 1e4) / 10, 2) + " ms";
  if (seconds < 10) return format_number(seconds, 2) + " s";
  if (seconds < 100) return std::to_string(std::llround(seconds)) + " s";
  const long long minutes = std::llround(seconds) / 60;
  if (minutes < 100)
    return std::to_string(minutes) + " min " + std::to_string(std::llround(seconds) % 60) + " s";
  return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

std::string json_text(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const auto [value, length] = stofm::detail::code_point_at(text, i);
    if (length == 0) {
      std::string shown;
      stofm::detail::append_hex(shown, text[i++]);
      out += "\\" + shown;  // an escaped backslash
      continue;
    }
    if (value == '"' || value == '\\') {
      out += '\\';
      out += text[i];
    } else if (stofm::detail::is_control(value) || value == '<' || value == '>' || value == '&') {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += hex[value >> shift & 15];
    } else {
      out.append(text.substr(i, length));
    }
    i += length;
  }
  return out + "\"";
}

}  // namespace stofm::program
