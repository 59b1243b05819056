// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the parts of `stofm impute` share: one slice with its predictions, and what is written and said of
/// it.

#include <span>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "stofm/tasks/impute.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {

/// What must live until the files are written.
struct ImputedSlice {
  tasks::ImputeResult result;
  Tensor<float> layer;  ///< [cells, genes of the file]
  Tensor<double> places;
  std::vector<std::string> hidden;
};

/// A copy of the slice with a layer: all predicted genes are genes of it. \throws ResourceError STOFM-4779
void impute_layer_output(const TaskSlice& slice, const TaskArguments& task, ImputedSlice& done,
                         TaskOutput& output);

/// A new file: measured genes in the unit of the predictions, and the predicted ones. \throws ResourceError
/// STOFM-4779
void impute_whole_output(const TaskSlice& slice, const TaskArguments& task, ImputedSlice& done,
                         TaskOutput& output);

/// Maps, bars and table of slice `s`.
void add_impute_to_report(TaskReport& report, std::span<const TaskSlice> slices, std::size_t s,
                          const ImputedSlice& done, const ImputeArguments& a);

/// Figures of one slice for people and for --json.
nlohmann::json summarise_impute(const TaskSlice& slice, const ImputedSlice& done, const ImputeArguments& a,
                                TaskReport& report, bool several);

}  // namespace stofm::program
