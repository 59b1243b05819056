// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The command line: definition, help, and refusals that name the nearest option.

#include <string>

#include "arguments.hpp"

namespace stofm::program {

/// Help or version was asked for (or nothing was): `text` is to be printed, then the program ends.
struct ParsedCommandLine {
  Arguments arguments;
  std::string text;  ///< not empty: print this to stdout and return 0
};

/// \throws UsageError for unknown verbs and options, values out of range, options that exclude each other.
ParsedCommandLine parse_command_line(int argc, char** argv);

/// "stofm 0.1.0 (g++ 12.2.0, C++20, kernels avx512, HDF5 1.10.8)" and what else a bug report needs.
std::string version_text();

}  // namespace stofm::program
