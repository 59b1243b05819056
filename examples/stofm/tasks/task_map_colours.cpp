// SPDX-License-Identifier: MIT
#include "tasks/task_map_colours.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace stofm::program {
namespace {

/// The ramp of the report (cividis), even for every eye.
std::vector<std::string> ramp_colours() {
  static constexpr std::array<std::array<double, 3>, 7> stops{{{0, 32, 77},
                                                               {44, 60, 108},
                                                               {87, 92, 109},
                                                               {124, 123, 120},
                                                               {165, 156, 116},
                                                               {209, 191, 95},
                                                               {255, 234, 70}}};
  std::vector<std::string> colours;
  for (int i = 0; i < colour_steps; ++i) {
    const double t = (i + .5) / colour_steps * 6;
    const auto k = static_cast<std::size_t>(t);
    std::string text = "#";
    for (std::size_t c = 0; c < 3; ++c) {
      char digits[8];
      const double value = stops[k][c] + (t - static_cast<double>(k)) * (stops[k + 1][c] - stops[k][c]);
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(std::lround(value)) & 255U);
      text += digits;
    }
    colours.push_back(text);
  }
  colours.emplace_back(missing_colour);
  return colours;
}

}  // namespace

Colouring by_groups(const TaskReportGroups& groups, const std::vector<std::string>& colours) {
  Colouring c{.title = groups.label.empty() ? groups.key : groups.label,
              .heading = {},
              .of = groups.codes,
              .colours = colours,
              .names = groups.names};
  const auto missing = static_cast<std::int32_t>(c.colours.size());
  bool any = false;
  for (auto& slice : c.of)
    for (auto& code : slice)
      if (code < 0 || code >= missing) code = missing, any = true;
  c.colours.emplace_back(missing_colour);
  if (any) c.names.emplace_back("missing");
  return c;
}

Colouring by_values(const std::string& title, const std::string& heading,
                    const std::vector<std::vector<float>>& values, std::size_t stride, std::size_t offset) {
  Colouring c{
      .title = title, .heading = heading, .of = {}, .colours = ramp_colours(), .names = {}, .ordered = true};
  std::vector<float> all;
  for (const auto& slice : values)
    for (std::size_t i = offset; i < slice.size(); i += stride)
      if (std::isfinite(slice[i])) all.push_back(slice[i]);
  if (!all.empty()) {
    const auto [low, high] = std::minmax_element(all.begin(), all.end());
    c.low = *low, c.high = c.most = *high;
    auto cut = all.begin() + static_cast<std::ptrdiff_t>(.995 * static_cast<double>(all.size() - 1));
    std::nth_element(all.begin(), cut, all.end());
    if (c.most - *cut > .25 * (c.most - c.low) && *cut > c.low) c.high = *cut;  // a long tail
  }
  const double width = c.high > c.low ? c.high - c.low : 1;
  for (const auto& slice : values) {
    auto& of = c.of.emplace_back();
    for (std::size_t i = offset; i < slice.size(); i += stride)
      of.push_back(std::isfinite(slice[i])
                       ? std::clamp(static_cast<std::int32_t>(colour_steps * (slice[i] - c.low) / width), 0,
                                    colour_steps - 1)
                       : colour_steps);
  }
  return c;
}

}  // namespace stofm::program
