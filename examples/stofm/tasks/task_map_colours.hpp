// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What cells of a map are coloured by: groups or numbers.

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/task_report.hpp"

namespace stofm::program {

inline constexpr const char* missing_colour = "#b4bac4";
inline constexpr int colour_steps = 64;  ///< of the ramp for numbers

/// What cells are coloured by: the number of a colour for each, [slices][cells].
struct Colouring {
  std::string title, heading;
  std::vector<std::vector<std::int32_t>> of;
  std::vector<std::string> colours, names;  ///< no names: numbers from `low` to `high`
  double low = 0, high = 1, most = 1;
  bool ordered = false;  ///< higher numbers are drawn last
};

/// Colours of the groups; cells of none are grey and said to be missing.
Colouring by_groups(const TaskReportGroups& groups, const std::vector<std::string>& colours);

/// \param values [slices][cells * stride], of which every `stride`-th from `offset` counts
Colouring by_values(const std::string& title, const std::string& heading,
                    const std::vector<std::vector<float>>& values, std::size_t stride, std::size_t offset);

}  // namespace stofm::program
