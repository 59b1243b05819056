// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What every downstream task does before and after its own work: slices in (with labels of obs and
/// features), results, report, figures and JSON out. A verb is: open, compute, fill one TaskOutput a slice
/// and one TaskReport, write.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "model_bundle.hpp"
#include "output_plan.hpp"
#include "stofm/io/h5ad_new.hpp"
#include "stofm/io/h5ad_result.hpp"
#include "stofm/io/output_group.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "tasks/task_report.hpp"

namespace stofm::program {

/// One slice of a task.
struct TaskSlice {
  io::Slice slice;   ///< `labels`: first those that were asked for, in that order
  std::string name;  ///< of the file, without folder and .h5ad
  std::string h5ad;  ///< result; empty: read only (training slices, references)
  OutputPlan plan;   ///< of the result
};

/// Input slices of the task (patterns expanded, results planned and checked as `embed` does:
/// NAME.<verb>.h5ad, refused where it exists; report and figures too). Says what each slice is and what was
/// noticed. \param labels columns of obs that must be there. \param label_columns of obs beside these, at
/// most, for the report. \throws Error
std::vector<TaskSlice> open_inputs(const TaskArguments& task, const std::string& verb,
                                   const std::vector<std::string>& labels, bool positions = true,
                                   std::int64_t label_columns = 0);

/// Slices that are read only: --train, --reference. Patterns are expanded. \throws Error, also where one of
/// them is a result of the task
std::vector<TaskSlice> open_others(const std::vector<std::string>& paths, const TaskArguments& task,
                                   const std::vector<std::string>& labels, bool positions = true);

/// Refuses a --report that exists or can not be made, and --figures where such files are, unless --overwrite.
/// open_inputs does it; for verbs without input slices. \param read files that are no output
void check_pictures(const TaskArguments& task, const std::vector<std::string>& read);

/// Bytes that the task may take; from the first call on tensors are held to it.
std::int64_t task_memory(const TaskArguments& task);

/// The bundle of --weights, or that which `embed` finds; said once. \throws Error
LoadedModel load_task_model(const TaskArguments& task);

/// Whether --use needs the weights.
bool task_needs_model(const TaskArguments& task);

/// Options of embedding as the task has them.
pipeline::EmbedOptions task_embed_options(const TaskArguments& task, std::int64_t max_memory);

/// --use and --features as options of tasks::slice_features.
tasks::SliceFeatureOptions task_feature_options(const TaskArguments& task);

/// --use and --features for several slices together, with progress; `model` may be null where none is needed
/// (genes, pca, pca+nbr, linear-context). A slice whose file has X_stofm made with these weights and options
/// is not embedded again, which is said; the seed of that embedding is its own. \throws Error
tasks::SliceFeatures task_features(std::span<const TaskSlice> slices, const LoadedModel* model,
                                   const TaskArguments& task);
/// The same with options that a verb has changed.
tasks::SliceFeatures task_features(std::span<const TaskSlice> slices, const LoadedModel* model,
                                   const TaskArguments& task, const tasks::SliceFeatureOptions& options);

/// What one input slice gets.
struct TaskOutput {
  io::H5adResult file{};  ///< rows, columns, identity and uns["stofm"][verb] are set by write_task
  /// A whole new file in place of a changed copy of the input; its content.uns is set by write_task.
  std::optional<io::NewH5ad> whole{};
  std::map<std::string, io::H5adValue> provenance{};  ///< of this slice, beside that of the task
};

/// Options that change the result, with their values, in a fixed order: for provenance and report.
std::vector<std::pair<std::string, std::string>> task_options(const TaskArguments& task);

/// Writes results (all or none), report, figures; prints the summary with --json. `outputs` has one entry for
/// each slice with a result. \param provenance members of uns["stofm"][verb] besides program, model, options.
/// \param summary members of the JSON object besides verb, inputs, outputs, report, figures. Fields of the
/// report that every verb has (created, version, command, options, model, banner of the weights) are filled
/// where they are empty. \throws Error; then nothing was written
void write_task(const TaskArguments& task, const std::string& verb, const Arguments& arguments,
                std::span<const TaskSlice> slices, std::span<TaskOutput> outputs, const LoadedModel* model,
                const std::map<std::string, io::H5adValue>& provenance, TaskReport& report,
                const nlohmann::json& summary);

/// "slice" of "dir/slice.stofm.h5ad": what a slice is called.
std::string task_slice_name(const std::string& path);

/// x, y and the view of a slice for the report.
TaskReportSlice report_slice(const TaskSlice& slice);

}  // namespace stofm::program
