// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Colours of groups of cells: those of the reports, and of uns["<column>_colors"] where a file gives none.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace stofm::tasks {

/// Colour of group i, "#rrggbb". The first 12 are told apart by eyes of every kind (Okabe and Ito's, then
/// others between them); further ones step round the circle of hues by the golden angle.
inline std::string group_colour(std::size_t i) {
  static constexpr std::array<const char*, 12> first{"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                                     "#56b4e9", "#d55e00", "#8c6bb1", "#b8a100",
                                                     "#7f4b2a", "#3fb6a8", "#e05a80", "#6b7fd7"};
  if (i < first.size()) return first[i];
  const double hue = std::fmod(static_cast<double>(i) * 137.508 + 20, 360.0);
  const double lightness = std::array{0.52, 0.64, 0.44}[i % 3];
  const double saturation = std::array{0.62, 0.48, 0.72}[(i >> 1U) % 3];
  const double reach = saturation * (std::min)(lightness, 1 - lightness);
  std::string text = "#";
  for (const double corner : {0.0, 8.0, 4.0}) {  // hsl to rgb, CSS Color 4
    const double k = std::fmod(corner + hue / 30, 12.0);
    const double value = lightness - reach * (std::max)(-1.0, (std::min)({k - 3, 9 - k, 1.0}));
    char digits[8];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(std::lround(255 * value)) & 255U);
    text += digits;
  }
  return text;
}

/// Colours of groups 0 to groups - 1.
inline std::vector<std::string> group_colours(std::size_t groups) {
  std::vector<std::string> colours;
  for (std::size_t i = 0; i < groups; ++i) colours.push_back(group_colour(i));
  return colours;
}

/// `given` for as many groups, the usual colour where it has none (an empty text, or too few).
inline std::vector<std::string> with_usual_colours(std::vector<std::string> given, std::size_t groups) {
  given.resize(groups);
  for (std::size_t i = 0; i < groups; ++i)
    if (given[i].empty()) given[i] = group_colour(i);
  return given;
}

}  // namespace stofm::tasks
