// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Text that a terminal may get, whatever it was made of: well-formed UTF-8 without control characters.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "stofm/core/compiled.hpp"

namespace stofm {

namespace detail {

/// A code point and the bytes it takes; length 0: what is there is not well-formed UTF-8 (a cut or overlong
/// sequence, a surrogate, beyond U+10FFFF).
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;
};

inline CodePoint code_point_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t k) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + k]));
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || at + length > text.size()) return {};
  std::uint32_t value = first & (0x7fU >> length);
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(k) & 0x3f);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {};
  return {value, length};
}

/// Control characters (C0, DEL, C1), what turns the direction of a line, and separators of lines.
inline bool is_control(std::uint32_t value) {
  return value < 0x20 || (value >= 0x7f && value < 0xa0) || value == 0x61c ||
         (value >= 0x200e && value <= 0x200f) || (value >= 0x2028 && value <= 0x202e) ||
         (value >= 0x2066 && value <= 0x2069) || value == 0xfeff;
}

inline void append_hex(std::string& out, char byte) {
  static constexpr char hex[] = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  out += "\\x";
  out += hex[value >> 4];
  out += hex[value & 15];
}

}  // namespace detail

/// Every byte that is no part of well-formed UTF-8, and every byte of a control character that is not in
/// `kept`, becomes \xNN.
STOFM_INLINE std::string printable(std::string_view text, std::string_view kept = "");

}  // namespace stofm

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto printable(std::string_view text, std::string_view kept) -> std::string {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const detail::CodePoint point = detail::code_point_at(text, i);
    const std::size_t length = point.length == 0 ? 1 : point.length;
    const bool shown = point.length > 0 && (!detail::is_control(point.value) ||
                                            (length == 1 && kept.find(text[i]) != std::string_view::npos));
    for (std::size_t k = 0; k < length; ++k)
      if (shown)
        out += text[i + k];
      else
        detail::append_hex(out, text[i + k]);
    i += length;
  }
  return out;
}

}  // namespace stofm
#endif
