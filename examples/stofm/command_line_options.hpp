// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the parts of the command line share: short ways to define options, checks of their values, the groups
/// that several verbs have. For command_line*.cpp and tasks/options_*.cpp only: nothing else includes CLI11.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "arguments.hpp"

namespace stofm::program {

/// The candidate that is nearest, if it is near enough to be meant; else "".
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

template <class T>
CLI::Option* option(CLI::App& app, const char* group, const char* names, T& value, const char* what,
                    const char* type = nullptr) {
  CLI::Option* made = app.add_option(names, value, what)->group(group);
  if (type != nullptr) made->type_name(type);
  return made;
}
inline CLI::Option* flag(CLI::App& app, const char* group, const char* names, bool& value, const char* what) {
  return app.add_flag(names, value, what)->group(group);
}

/// Finite number in [low, high].
CLI::Validator number_between(double low, double high, const std::string& words);
CLI::Validator integer(std::int64_t low, std::int64_t high);
CLI::Validator one_of(const std::vector<std::string>& words);
/// The words of --use in a row.
std::string task_feature_list(const char* separator);

void add_common(CLI::App& app, CommonArguments& a);
/// --device
void add_device(CLI::App& app, std::string& device);
/// --dtype; `bf16` and `fp32` are heard as what they are short for.
void add_dtype(CLI::App& app, const char* group, std::string& dtype, const char* what);
void add_slice(CLI::App& app, SliceArguments& a, bool genes, bool places);
void add_geometry(CLI::App& app, GeometryArguments& a);
/// What add_geometry and tasks say of sub-slices in the same words.
void add_pieces(CLI::App& app, const char* group, GeometryArguments& a);

void add_corpus(CLI::App& app, CorpusArguments& a);
/// `pretrain` and `adapt`.
void add_pretrain(CLI::App& app, PretrainArguments& a);
void add_adapt(CLI::App& app, AdaptArguments& a);
/// Which of the common options a downstream task has.
struct TaskOptionGroups {
  bool inputs = true;    ///< slices as arguments, and --list
  bool outputs = true;   ///< -o, --output-dir, --in-place
  bool model = true;     ///< --weights, --use, --features, and how virtual cells and pieces are made
  bool features = true;  ///< of these --use and --features
  bool genes = true;     ///< which counts and genes of the files
  bool places = true;    ///< which positions
  bool pictures = true;  ///< --report, --figures
};
/// Inputs, outputs, features, slices and geometry of a downstream task (tasks/options_task.cpp).
void add_task(CLI::App& app, TaskArguments& a, const TaskOptionGroups& groups = {});
/// Downstream tasks, each in tasks/options_<name>.cpp.
void add_segment(CLI::App& app, ClassifyArguments& a);
void add_annotate(CLI::App& app, ClassifyArguments& a);
void add_cluster(CLI::App& app, ClusterArguments& a);
void add_deconvolve(CLI::App& app, DeconvolveArguments& a);
void add_pseudospots(CLI::App& app, PseudospotsArguments& a);
void add_impute(CLI::App& app, ImputeArguments& a);
void add_evaluate(CLI::App& app, EvaluateArguments& a);
void add_ablate(CLI::App& app, AblateArguments& a);
/// What CLI11 can not check. \throws UsageError
void check_training(const Arguments& a);
void check_corpus(const Arguments& a);

}  // namespace stofm::program
