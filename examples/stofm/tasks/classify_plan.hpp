// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Heads that `stofm segment` and `stofm annotate` learn: from which cells, and what each predicts.

#include <string>
#include <vector>

#include "tasks/classify_run.hpp"

namespace stofm::program {

/// One head to learn and the inputs it predicts.
struct ClassifyRun {
  std::string name;
  std::vector<tasks::CellRoles> roles;  ///< by slice
  std::vector<std::size_t> predict;     ///< slices
  bool held_out_only = false;  ///< only cells with the role `test`, or without a label, are predicted
};

/// Runs that the options ask for: one, one an input (--leave-one-out), or one a part (--hold-out).
std::vector<ClassifyRun> plan_runs(const ClassifyWork& work);

/// Says which classes are on one side only. \throws DataError STOFM-2083 no labels to learn from, STOFM-2084
/// one class only
void check_run(ClassifyWork& work, const ClassifyRun& run);

}  // namespace stofm::program
