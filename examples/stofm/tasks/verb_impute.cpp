// SPDX-License-Identifier: MIT
/// \file
/// `stofm impute`: genes that a slice lacks, or measured ones as if it lacked them, from references.
///
/// Where all predicted genes are genes of the slice, the result is a copy of it with layers["stofm_imputed"].
/// Else it is a new file of measured and predicted genes, without X: a prediction is no count.

#include <algorithm>
#include <optional>

#include "console.hpp"
#include "option_flags.hpp"
#include "slice_run.hpp"
#include "stofm/core/random_key.hpp"
#include "tasks/impute_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

constexpr const char* impute_unit = "log1p(10,000 x count / counts of the genes learnt from)";

tasks::ImputeOptions impute_options(const ImputeArguments& a) {
  tasks::ImputeOptions options;
  options.genes.genes = a.genes;
  options.imputation.method = a.method == "knn" ? tasks::ImputeMethod::knn : tasks::ImputeMethod::ridge;
  options.imputation.max_genes = a.max_genes;
  options.imputation.told_from = a.told_from;
  options.surroundings = a.surroundings == "model"        ? tasks::Surroundings::model
                         : a.surroundings == "neighbours" ? tasks::Surroundings::neighbours
                                                          : tasks::Surroundings::none;
  options.alignment = a.align == "centre"  ? tasks::FeatureAlignment::centre
                      : a.align == "scale" ? tasks::FeatureAlignment::scale
                                           : tasks::FeatureAlignment::none;
  options.hold_out = a.hold_out;
  options.max_shared = a.max_shared;
  options.embed = task_embed_options(a.task, task_memory(a.task));
  return options;
}

/// Genes that slice and references share, `count` of them drawn.
std::vector<std::string> drawn_genes(const io::Slice& slice, std::span<const io::Slice* const> references,
                                     const pipeline::Model* model, std::int64_t count, std::uint64_t seed) {
  std::vector<const io::Slice*> all{&slice};
  all.insert(all.end(), references.begin(), references.end());
  std::vector<std::string> names = tasks::share_genes(all, model).genes.shown;
  if (count + 2 > static_cast<std::int64_t>(names.size()))
    throw UsageError({"STOFM-4776", slice.path, "--test-genes",
                      concat(count, " of ", names.size(), " shared genes"),
                      concat("at most ", (std::max<std::size_t>)(names.size(), 2) - 2,
                             ": 2 or more must stay to learn from"),
                      "Hide fewer genes (--test-genes)."});
  Random random = RandomKey{.seed = seed}.child(4770).generator();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    std::swap(names[i], names[i + static_cast<std::size_t>(random.below(names.size() - i))]);
  names.resize(static_cast<std::size_t>(count));
  return names;
}

}  // namespace

int run_impute(const Arguments& arguments) {
  const ImputeArguments& a = arguments.impute;
  Console& console = Console::get();
  const std::vector<TaskSlice> slices = open_inputs(a.task, "impute", {}, false);
  const std::vector<TaskSlice> references = open_others(a.references, a.task, {}, false);
  for (const TaskSlice& slice : slices)
    for (const TaskSlice& reference : references)
      if (io::same_file(slice.slice.path, reference.slice.path))
        throw UsageError({"STOFM-2056", reference.slice.path, "--reference", "the slice itself",
                          "another file", "Leave it out of --reference."});
  std::optional<LoadedModel> model;
  model.emplace(load_task_model(a.task));
  std::vector<const io::Slice*> sources;
  for (const TaskSlice& reference : references) sources.push_back(&reference.slice);
  const pipeline::Progress progress([&console](const pipeline::ProgressEvent& event) {
    console.progress(stage_name(event.stage), event.done, event.total, event.unit);
  });

  std::vector<ImputedSlice> done(slices.size());
  std::vector<TaskOutput> outputs(slices.size());
  TaskReport report;
  report.title =
      concat("Genes predicted for ", slices.size() == 1 ? slices[0].name : concat(slices.size(), " slices"));
  nlohmann::json by_slice = nlohmann::json::array();
  std::vector<std::string> names;
  for (const TaskSlice& reference : references) names.push_back(reference.slice.path);
  for (std::size_t s = 0; s < slices.size(); ++s) {
    tasks::ImputeOptions options = impute_options(a);
    options.genes.hidden = a.test_genes > 0 ? drawn_genes(slices[s].slice, sources, &model->model,
                                                          a.test_genes, a.task.geometry.seed)
                                            : a.hidden;
    done[s].hidden = options.genes.hidden;
    done[s].result = tasks::impute(slices[s].slice, sources, &model->model, options, progress);
    console.end_progress();
    say_notices(done[s].result.notices, slices[s].slice.path);
    for (const Notice& notice : done[s].result.notices) report.notices.push_back(with_flags(notice.text));
    const tasks::ImputeResult& result = done[s].result;
    const bool all_measured = std::all_of(
        result.imputation.genes.begin(), result.imputation.genes.end(), [&](const tasks::ImputedGene& gene) {
          return result.genes.measured[static_cast<std::size_t>(gene.target)] != 0;
        });
    const bool raw = a.task.slice.use_raw;  // its genes are not those of X, which a layer must have
    if (all_measured && !raw)
      impute_layer_output(slices[s], a.task, done[s], outputs[s]);
    else if (a.task.in_place)
      throw UsageError(
          {"STOFM-2057", slices[s].slice.path, "--in-place",
           raw ? "counts of raw, whose genes are not those of X" : "genes that the file does not have",
           "a new file for them", "Leave out --in-place, or ask for genes that the slice has."});
    else
      impute_whole_output(slices[s], a.task, done[s], outputs[s]);
    outputs[s].provenance = {{"features", result.features},
                             {"matched_by", result.genes.matched_by},
                             {"unit", std::string(impute_unit)},
                             {"penalty", result.imputation.penalty},
                             {"learnt_cells", result.imputation.learnt_cells},
                             {"held_out_cells", result.imputation.held_out_cells}};
    if (!done[s].hidden.empty()) outputs[s].provenance["hidden_genes"] = done[s].hidden;
    report.slices.push_back(report_slice(slices[s]));
    add_impute_to_report(report, slices, s, done[s], a);
    by_slice.push_back(summarise_impute(slices[s], done[s], a, report, slices.size() > 1));
  }
  const std::map<std::string, io::H5adValue> provenance{
      {"references", names},     {"method", a.method},     {"surroundings", a.surroundings},
      {"align", a.align},        {"hold_out", a.hold_out}, {"told_from", a.told_from},
      {"max_genes", a.max_genes}};
  write_task(a.task, "impute", arguments, slices, outputs, &*model, provenance, report,
             {{"slices", by_slice}});
  return 0;
}

}  // namespace stofm::program
