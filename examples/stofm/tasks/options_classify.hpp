// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Options that `stofm segment` and `stofm annotate` have in common.

#include "command_line_options.hpp"

namespace stofm::program {

/// What a verb does where nothing else is said, and the help of it.
struct ClassifyDefaults {
  std::string use, use_help;
  std::int64_t smooth = 0;
  std::string smooth_help;
};

/// Defined in options_segment.cpp.
void add_classify(CLI::App& app, ClassifyArguments& a, const ClassifyDefaults& defaults);

}  // namespace stofm::program
