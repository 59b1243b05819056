// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Names in a sentence.

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::io::detail {

/// "a, b, c and 4 more"; every name quoted.
inline std::string name_list(const std::vector<std::string>& names, std::size_t most = 10) {
  std::string text;
  for (std::size_t i = 0; i < (std::min)(names.size(), most); ++i)
    text += (i > 0 ? ", " : "") + stofm::quoted(names[i], 60);
  if (names.size() > most) text += concat(" and ", names.size() - most, " more");
  return text.empty() ? "nothing" : text;
}

}  // namespace stofm::io::detail
