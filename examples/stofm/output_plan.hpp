// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the results of each slice go, decided and checked before any work (rows C01 to C03).

#include <string>
#include <vector>

#include "arguments.hpp"

namespace stofm::program {

/// The files of one slice. Empty: not asked for.
struct OutputPlan {
  std::string input;
  std::string h5ad;  ///< equals `input` with --in-place
  std::string npy, csv, report;
  bool in_place = false;
};

/// Names the outputs of every input. With several inputs --npy, --csv and --report must be directories.
/// \throws UsageError if two outputs coincide or one option can not serve several slices
std::vector<OutputPlan> plan_outputs(const std::vector<std::string>& inputs, const EmbedArguments& arguments);

/// Refuses outputs that exist (unless `overwrite`), are an input, or can not be created. \throws UsageError,
/// ResourceError
void check_outputs(const OutputPlan& plan, const std::vector<std::string>& inputs, bool overwrite);

}  // namespace stofm::program
