// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Large whole numbers for people.

#include <cstdint>
#include <string>

namespace stofm {

/// "13,000", "-1,200".
inline std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::int64_t>(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

}  // namespace stofm
