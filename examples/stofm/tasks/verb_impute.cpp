// SPDX-License-Identifier: MIT
/// \file
/// `stofm impute`: genes that a slice lacks, or measured ones as if it lacked them, from references.
///
/// Where all predicted genes are genes of the slice, the result is a copy of it with layers["stofm_imputed"].
/// Else it is a new file of measured and predicted genes, without X: a prediction is no count.

#include <algorithm>
#include <cmath>
#include <set>

#include "console.hpp"
#include "slice_input.hpp"
#include "slice_run.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/tasks/impute.hpp"
#include "tasks/task_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

constexpr const char* impute_unit = "log1p(10,000 x count / counts of the genes learnt from)";

/// What must live until the files are written.
struct ImputedSlice {
  tasks::ImputeResult result;
  Tensor<float> layer;  ///< [cells, genes of the file]
  Tensor<double> places;
  std::vector<std::string> hidden;
};

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
  Random random = RandomKey{seed}.child(4770).generator();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    std::swap(names[i], names[i + static_cast<std::size_t>(random.below(names.size() - i))]);
  names.resize(static_cast<std::size_t>(count));
  return names;
}

std::string number_text(double value) { return std::isnan(value) ? "-" : format_number(value, 2); }

double median_of(std::vector<double> values) {
  values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }),
               values.end());
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

nlohmann::json number_json(double value) {
  return std::isnan(value) ? nlohmann::json() : nlohmann::json(value);
}

/// Column of the imputation that a gene of the slice is, by column of the slice; -1: none.
std::vector<std::int32_t> imputed_columns(const tasks::ImputeResult& result) {
  std::vector<std::int32_t> by_target(static_cast<std::size_t>(result.genes.targets.size()), -1);
  for (std::size_t g = 0; g < result.imputation.genes.size(); ++g)
    by_target[static_cast<std::size_t>(result.imputation.genes[g].target)] = static_cast<std::int32_t>(g);
  std::vector<std::int32_t> columns(result.genes.slice_target.size(), -1);
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (result.genes.slice_target[c] >= 0)
      columns[c] = by_target[static_cast<std::size_t>(result.genes.slice_target[c])];
  return columns;
}

/// Columns of var for genes of a file: `columns` [genes] of the imputation, -1: measured only.
std::vector<io::H5adColumn> impute_var(const tasks::ImputeResult& result,
                                       std::span<const std::int32_t> columns) {
  io::H5adColumn imputed{.name = "stofm_imputed"}, pearson{.name = "stofm_impute_pearson"},
      spearman{.name = "stofm_impute_spearman"}, told{.name = "stofm_impute_told"};
  const double none = std::numeric_limits<double>::quiet_NaN();
  told.categories = {"can't be told", "told"};
  for (const std::int32_t c : columns) {
    const tasks::ImputedGene* gene = c < 0 ? nullptr : &result.imputation.genes[static_cast<std::size_t>(c)];
    imputed.integers.push_back(gene != nullptr);
    pearson.reals.push_back(gene ? gene->pearson : none);
    spearman.reals.push_back(gene ? gene->spearman : none);
    told.codes.push_back(gene == nullptr || std::isnan(gene->pearson) ? -1 : gene->told ? 1 : 0);
  }
  return {std::move(imputed), std::move(pearson), std::move(spearman), std::move(told)};
}

void require_layer_memory(const TaskSlice& slice, std::int64_t genes, const TaskArguments& task) {
  const std::int64_t bytes = checked_mul(checked_mul(slice.slice.cells, genes, "layer"), 4, "bytes");
  if (bytes > task_memory(task))
    throw ResourceError(
        {"STOFM-4779", slice.slice.path, "memory",
         concat("about ", bytes, " bytes for ", genes, " genes of ", slice.slice.cells, " cells"),
         concat("at most ", task_memory(task)),
         "Predict fewer genes (--genes, --max-genes), or raise --max-memory."});
}

/// A copy of the slice with a layer: all predicted genes are genes of it.
void layer_output(const TaskSlice& slice, const TaskArguments& task, ImputedSlice& done, TaskOutput& output) {
  const std::vector<std::int32_t> columns = imputed_columns(done.result);
  const auto genes = static_cast<std::int64_t>(columns.size());
  require_layer_memory(slice, genes, task);
  const Tensor<float>& values = done.result.imputation.values;
  done.layer = Tensor<float>({slice.slice.cells, genes});
  for (std::int64_t i = 0; i < slice.slice.cells; ++i)
    for (std::int64_t c = 0; c < genes; ++c) {
      const std::int32_t from = columns[static_cast<std::size_t>(c)];
      done.layer.data()[i * genes + c] =
          from < 0 ? std::numeric_limits<float>::quiet_NaN() : values(i, std::int64_t{from});
    }
  output.file.layers.push_back({"stofm_imputed", std::as_const(done.layer).view()});
  output.file.var = impute_var(done.result, columns);
}

/// A new file: measured genes in the unit of the predictions, and the predicted ones.
void whole_output(const TaskSlice& slice, const TaskArguments& task, ImputedSlice& done, TaskOutput& output) {
  const tasks::ImputeResult& result = done.result;
  // Names and labels of the cells, which open_inputs does not ask for.
  const io::Slice named = open_slice(slice.slice.path, task.slice, task_memory(task), true, 60, false);
  io::NewH5ad made;
  made.cells = named.cell_names;
  const std::vector<std::int32_t> measured = imputed_columns(result);
  std::vector<std::int32_t> columns;      // of the imputation, by gene of the new file
  std::vector<std::int32_t> shared_gene;  // its measured values; -1: none
  std::vector<std::string> symbols;
  std::set<std::string> used;
  const auto add = [&](std::string id, std::string symbol, std::int32_t column, std::int32_t gene) {
    std::string name = id;
    for (int again = 1; name.empty() || !used.insert(name).second; ++again) name = concat(id, "-", again);
    made.genes.push_back(std::move(name));
    symbols.push_back(std::move(symbol));
    columns.push_back(column);
    shared_gene.push_back(gene);
  };
  bool ensembl = false;
  for (std::size_t c = 0; c < measured.size(); ++c) {
    const std::int32_t gene = result.genes.slice_shared[c];
    const std::string& id = slice.slice.gene_ids[c];
    ensembl = ensembl || id.starts_with("ENS");
    if (gene < 0 && measured[c] < 0) continue;
    add(id, slice.slice.gene_symbols.empty() ? id : slice.slice.gene_symbols[c], measured[c], gene);
  }
  for (std::size_t g = 0; g < result.imputation.genes.size(); ++g) {
    const auto target = static_cast<std::size_t>(result.imputation.genes[g].target);
    if (result.genes.measured[target]) continue;
    const tasks::GeneNames& names = result.genes.targets;
    add(ensembl && !names.ids[target].empty() ? names.ids[target] : names.shown[target], names.shown[target],
        static_cast<std::int32_t>(g), -1);
  }
  const auto genes = static_cast<std::int64_t>(columns.size());
  require_layer_memory(slice, genes, task);
  done.layer = Tensor<float>::zeros({slice.slice.cells, genes});
  std::vector<std::vector<std::int64_t>> places(static_cast<std::size_t>(result.genes.shared.size()));
  for (std::size_t g = 0; g < shared_gene.size(); ++g)
    if (shared_gene[g] >= 0)
      places[static_cast<std::size_t>(shared_gene[g])].push_back(static_cast<std::int64_t>(g));
  const tasks::SparseRows& own = result.slice_shared;
  for (std::int64_t i = 0; i < slice.slice.cells; ++i) {
    float* row = done.layer.data() + i * genes;
    for (auto e = static_cast<std::size_t>(own.offsets[static_cast<std::size_t>(i)]);
         e < static_cast<std::size_t>(own.offsets[static_cast<std::size_t>(i) + 1]); ++e)
      for (const std::int64_t g : places[static_cast<std::size_t>(own.columns[e])]) row[g] = own.values[e];
    for (std::size_t g = 0; g < columns.size(); ++g)
      if (columns[g] >= 0) row[g] = result.imputation.values(i, std::int64_t{columns[g]});
  }
  made.content.layers.push_back({"stofm_imputed", std::as_const(done.layer).view()});
  made.content.var = impute_var(result, columns);
  made.content.var.push_back({.name = "gene_symbol", .texts = std::move(symbols)});
  for (const io::SliceLabels& labels : named.labels) {
    made.content.obs.push_back({.name = labels.name, .codes = labels.codes, .categories = labels.categories});
    if (!labels.colours.empty()) made.content.uns_lists[labels.name + "_colors"] = labels.colours;
  }
  if (!slice.slice.coordinates_source.empty()) {
    done.places = slice.slice.coordinates.contiguous();
    made.spatial = std::as_const(done.places).view();
  }
  output.whole = std::move(made);
}

/// Genes shown on maps: those asked for, hidden ones, then those told best.
std::vector<std::int32_t> shown_genes(const tasks::ImputeResult& result, bool asked, std::size_t most) {
  std::vector<std::int32_t> listed(result.imputation.genes.size());
  for (std::size_t g = 0; g < listed.size(); ++g) listed[g] = static_cast<std::int32_t>(g);
  const auto known = [&](std::int32_t g) {
    const double p = result.imputation.genes[static_cast<std::size_t>(g)].pearson;
    return std::isnan(p) ? -2.0 : p;
  };
  if (!asked)
    std::stable_sort(listed.begin(), listed.end(),
                     [&](std::int32_t a, std::int32_t b) { return known(a) > known(b); });
  if (listed.size() > most) listed.resize(most);
  return listed;
}

void add_to_report(TaskReport& report, std::span<const TaskSlice> slices, std::size_t s,
                   const ImputedSlice& done, const ImputeArguments& a) {
  const tasks::ImputeResult& result = done.result;
  const std::size_t all = slices.size();
  const auto score_of = [&](const std::string& key, const std::string& label,
                            const char* group) -> std::vector<float>& {
    for (TaskReportScore& score : report.scores)
      if (score.key == key) return score.values[s];
    TaskReportScore score{key, label, group, std::vector<std::vector<float>>(all)};
    for (std::size_t i = 0; i < all; ++i)
      score.values[i].assign(static_cast<std::size_t>(slices[i].slice.cells),
                             std::numeric_limits<float>::quiet_NaN());
    report.scores.push_back(std::move(score));
    return report.scores.back().values[s];
  };
  for (const std::int32_t g : shown_genes(result, !a.genes.empty(), 24)) {
    const tasks::ImputedGene& gene = result.imputation.genes[static_cast<std::size_t>(g)];
    const auto target = static_cast<std::size_t>(gene.target);
    const std::string& name = result.genes.targets.shown[target];
    std::vector<float>& imputed = score_of("imputed " + name, name + ", predicted", "predicted genes");
    for (std::int64_t i = 0; i < slices[s].slice.cells; ++i)
      imputed[static_cast<std::size_t>(i)] = result.imputation.values(i, std::int64_t{g});
    if (!result.genes.measured[target]) continue;
    std::vector<float>& measured = score_of("measured " + name, name + ", measured", "measured genes");
    std::fill(measured.begin(), measured.end(), 0.0F);
    const tasks::SparseRows& rows = result.slice_targets;
    for (std::size_t i = 0; i < measured.size(); ++i)
      for (auto e = static_cast<std::size_t>(rows.offsets[i]);
           e < static_cast<std::size_t>(rows.offsets[i + 1]); ++e)
        if (rows.columns[e] == gene.target) measured[i] = rows.values[e];
  }
  TaskReportBars bars{
      concat("How well each gene is told in held-out cells of the references (can't be told below ",
             format_number(a.told_from, 2), all > 1 ? "), for " + slices[s].name : std::string(")")),
      "Pearson",
      {},
      {},
      {},
      {}};
  for (const std::int32_t g : shown_genes(result, !a.genes.empty(), 60)) {
    const tasks::ImputedGene& gene = result.imputation.genes[static_cast<std::size_t>(g)];
    if (std::isnan(gene.pearson)) continue;
    bars.names.push_back(result.genes.targets.shown[static_cast<std::size_t>(gene.target)]);
    bars.values.push_back(gene.pearson);
  }
  if (!bars.names.empty()) report.bars.push_back(std::move(bars));
  TaskReportTable table{concat("Predicted genes", all > 1 ? " of " + slices[s].name : std::string()),
                        {"gene", "told", "Pearson, held out", "Spearman, held out", "cells with a count",
                         "Pearson, measured here", "Spearman, measured here"},
                        {}};
  for (const std::int32_t g : shown_genes(result, !a.genes.empty(), 500)) {
    const tasks::ImputedGene& gene = result.imputation.genes[static_cast<std::size_t>(g)];
    double pearson = std::numeric_limits<double>::quiet_NaN(), spearman = pearson;
    for (const tasks::MeasuredGeneScore& one : result.measured)
      if (one.target == gene.target) pearson = one.scores.pearson, spearman = one.scores.spearman;
    table.rows.push_back({result.genes.targets.shown[static_cast<std::size_t>(gene.target)],
                          gene.told ? "yes" : "can't be told", number_text(gene.pearson),
                          number_text(gene.spearman), format_count(gene.expressed), number_text(pearson),
                          number_text(spearman)});
  }
  report.tables.push_back(std::move(table));
}

/// Figures of one slice for people and for --json.
nlohmann::json summarise(const TaskSlice& slice, const ImputedSlice& done, const ImputeArguments& a,
                         TaskReport& report, bool several) {
  const tasks::ImputeResult& result = done.result;
  Console& console = Console::get();
  std::vector<double> held, measured, measured_spearman, measured_rmse;
  std::int64_t told = 0;
  nlohmann::json genes = nlohmann::json::array();
  std::vector<std::string> not_told;
  for (const tasks::ImputedGene& gene : result.imputation.genes) {
    held.push_back(gene.pearson);
    told += gene.told;
    const std::string& name = result.genes.targets.shown[static_cast<std::size_t>(gene.target)];
    if (!gene.told) not_told.push_back(name);
    nlohmann::json one{{"gene", name},
                       {"pearson", number_json(gene.pearson)},
                       {"spearman", number_json(gene.spearman)},
                       {"told", gene.told},
                       {"cells", gene.expressed}};
    for (const tasks::MeasuredGeneScore& score : result.measured)
      if (score.target == gene.target) {
        one["measured_pearson"] = number_json(score.scores.pearson);
        one["measured_spearman"] = number_json(score.scores.spearman);
        one["measured_rmse"] = number_json(score.scores.rmse);
        measured.push_back(score.scores.pearson);
        measured_spearman.push_back(score.scores.spearman);
        measured_rmse.push_back(score.scores.rmse);
      }
    genes.push_back(std::move(one));
  }
  const auto mean = [](const std::vector<double>& values) {
    double sum = 0, n = 0;
    for (const double v : values)
      if (!std::isnan(v)) sum += v, ++n;
    return n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN();
  };
  console.say(concat(
      slice.name, ": ", format_count(static_cast<std::int64_t>(result.imputation.genes.size())),
      " genes predicted from ", result.features, " (matched by ", result.genes.matched_by, "), learnt from ",
      format_count(result.imputation.learnt_cells + result.imputation.held_out_cells), " cells"));
  if (a.hold_out > 0)
    console.say(concat("  in held-out cells of the references: median Pearson ", number_text(median_of(held)),
                       ", ", told, " of ", result.imputation.genes.size(), " genes are told (from ",
                       format_number(a.told_from, 2), ")"));
  if (!not_told.empty() && a.hold_out > 0)
    console.warn(concat("can't be told from these references: ", tasks::detail::listed_names(not_told, 10)),
                 {{"code", "STOFM-W2055"}, {"file", slice.slice.path}});
  if (!measured.empty())
    console.say(concat("  against what the slice measured: mean Pearson ", number_text(mean(measured)),
                       ", Spearman ", number_text(mean(measured_spearman)), ", RMSE ",
                       number_text(mean(measured_rmse)), " over ", measured.size(), " genes"));
  const std::string of = several ? slice.name + ": " : std::string();
  report.facts.emplace_back(of + "genes predicted",
                            format_count(static_cast<std::int64_t>(result.imputation.genes.size())));
  if (a.hold_out > 0) {
    report.facts.emplace_back(of + "told", concat(told, " of ", result.imputation.genes.size()));
    report.facts.emplace_back(of + "median Pearson, held out", number_text(median_of(held)));
  }
  if (!measured.empty())
    report.facts.emplace_back(of + "mean Pearson against measured genes", number_text(mean(measured)));
  nlohmann::json summary{{"input", slice.slice.path},
                         {"genes", std::move(genes)},
                         {"told", told},
                         {"shared_genes", result.genes.shared.size()},
                         {"learnt_genes", result.learnt_genes},
                         {"learnt_cells", result.imputation.learnt_cells},
                         {"held_out_cells", result.imputation.held_out_cells},
                         {"penalty", result.imputation.penalty},
                         {"features", result.features},
                         {"median_pearson", number_json(median_of(held))}};
  if (!measured.empty()) {
    summary["measured_pearson"] = number_json(mean(measured));
    summary["measured_spearman"] = number_json(mean(measured_spearman));
    summary["measured_rmse"] = number_json(mean(measured_rmse));
  }
  return summary;
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
    for (const Notice& notice : done[s].result.notices) report.notices.push_back(notice.text);
    const tasks::ImputeResult& result = done[s].result;
    const bool all_measured = std::all_of(
        result.imputation.genes.begin(), result.imputation.genes.end(), [&](const tasks::ImputedGene& gene) {
          return result.genes.measured[static_cast<std::size_t>(gene.target)] != 0;
        });
    if (all_measured)
      layer_output(slices[s], a.task, done[s], outputs[s]);
    else if (a.task.in_place)
      throw UsageError({"STOFM-2057", slices[s].slice.path, "--in-place", "genes that the file does not have",
                        "a new file for them", "Leave out --in-place, or ask for genes that the slice has."});
    else
      whole_output(slices[s], a.task, done[s], outputs[s]);
    outputs[s].provenance = {{"features", result.features},
                             {"matched_by", result.genes.matched_by},
                             {"unit", std::string(impute_unit)},
                             {"penalty", result.imputation.penalty},
                             {"learnt_cells", result.imputation.learnt_cells},
                             {"held_out_cells", result.imputation.held_out_cells}};
    if (!done[s].hidden.empty()) outputs[s].provenance["hidden_genes"] = done[s].hidden;
    report.slices.push_back(report_slice(slices[s]));
    add_to_report(report, slices, s, done[s], a);
    by_slice.push_back(summarise(slices[s], done[s], a, report, slices.size() > 1));
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
