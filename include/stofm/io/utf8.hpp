// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// UTF-8: lengths of valid sequences, and encoding of a code point.

#include <cstddef>
#include <string>
#include <string_view>

namespace stofm::io::detail {

/// Length of the UTF-8 sequence at `position`, 0 if it is not valid (overlong, surrogate, above U+10FFFF,
/// cut).
inline int utf8_length(std::string_view text, std::size_t position) {
  auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned>(static_cast<unsigned char>(text[i])) : 0U;
  };
  auto continues = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(position), second = byte(position + 1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(position + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool fits = !(first == 0xe0 && second < 0xa0) && !(first == 0xed && second > 0x9f);
    return fits && continues(position + 1) && continues(position + 2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool fits = !(first == 0xf0 && second < 0x90) && !(first == 0xf4 && second > 0x8f);
    return fits && continues(position + 1) && continues(position + 2) && continues(position + 3) ? 4 : 0;
  }
  return 0;
}

inline void append_utf8(std::string& out, unsigned code_point) {
  auto put = [&out](unsigned value) { out += static_cast<char>(static_cast<unsigned char>(value)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0U | (code_point >> 6));
    put(0x80U | (code_point & 63U));
  } else if (code_point < 0x10000) {
    put(0xe0U | (code_point >> 12));
    put(0x80U | ((code_point >> 6) & 63U));
    put(0x80U | (code_point & 63U));
  } else {
    put(0xf0U | (code_point >> 18));
    put(0x80U | ((code_point >> 12) & 63U));
    put(0x80U | ((code_point >> 6) & 63U));
    put(0x80U | (code_point & 63U));
  }
}

}  // namespace stofm::io::detail
