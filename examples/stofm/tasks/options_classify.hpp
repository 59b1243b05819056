// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Options that `stofm segment` and `stofm annotate` have in common.

#include "command_line_options.hpp"

namespace stofm::program {

/// Defined in options_segment.cpp. \param smooth what the help says of --smooth
void add_classify(CLI::App& app, ClassifyArguments& a, const char* smooth);

}  // namespace stofm::program
