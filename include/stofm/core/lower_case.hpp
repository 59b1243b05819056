// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// ASCII in lower case; every other byte (UTF-8) as it is, whatever the locale.

#include <string>
#include <string_view>

namespace stofm {

inline char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string lower_case(std::string_view text) {
  std::string low(text);
  for (char& c : low) c = lower_case(c);
  return low;
}

}  // namespace stofm
