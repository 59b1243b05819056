// SPDX-License-Identifier: MIT
/// \file
/// What `segment` and `annotate` write: columns, report, summary.

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "console.hpp"
#include "option_flags.hpp"
#include "stofm/tasks/shared_genes.hpp"
#include "tasks/classify_run.hpp"

namespace stofm::program {
namespace {

constexpr const char* unassigned_name = "unassigned";
constexpr const char* unassigned_colour = "#bdbdbd";
const std::map<std::string, std::string>& floor_names() {
  static const std::map<std::string, std::string> names{
      {"genes", "logistic regression on all genes"},
      {"pca", "logistic regression on 30 components"},
      {"pca+nbr", "logistic regression on 30 components and their neighbours' means"}};
  return names;
}

/// Mean, and standard deviation where there are several.
std::string mean_text(const std::vector<double>& values) {
  double mean = 0, square = 0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  for (const double v : values) square += (v - mean) * (v - mean);
  std::string text = format_number(mean, 3);
  if (values.size() > 1)
    text += concat(" +- ", format_number(std::sqrt(square / static_cast<double>(values.size() - 1)), 2));
  return text;
}

/// Accuracy and macro F1 of the model or of a floor over the runs.
struct ScoreRow {
  std::string name;
  std::vector<double> accuracy, macro_f1;
};
std::vector<ScoreRow> score_rows(const ClassifyWork& work) {
  std::vector<ScoreRow> rows{{work.learnt, {}, {}}};
  for (const ClassifyScore& score : work.scores) {
    rows[0].accuracy.push_back(score.model.accuracy);
    rows[0].macro_f1.push_back(score.model.macro_f1);
    for (std::size_t f = 0; f < score.floors.size(); ++f) {
      if (rows.size() == f + 1) rows.push_back({floor_names().at(score.floors[f].first), {}, {}});
      rows[f + 1].accuracy.push_back(score.floors[f].second.accuracy);
      rows[f + 1].macro_f1.push_back(score.floors[f].second.macro_f1);
    }
  }
  return rows;
}

void say_scores(const ClassifyWork& work) {
  if (work.scores.empty()) return;
  Console& console = Console::get();
  if (work.scores.size() > 1)
    for (const ClassifyScore& score : work.scores)
      console.say(concat("  ", score.name, ": ", format_count(score.model.cells), " cells, accuracy ",
                         format_number(score.model.accuracy, 3), ", macro F1 ",
                         format_number(score.model.macro_f1, 3)));
  for (const ScoreRow& row : score_rows(work))
    console.say(
        concat(row.name, ": accuracy ", mean_text(row.accuracy), ", macro F1 ", mean_text(row.macro_f1)));
  if (work.options().split == "random")
    console.say(
        "a random split leaks: neighbours of a held-out cell were learnt from, which flatters whatever looks "
        "at neighbours; --hold-out block does not");
}

std::map<std::string, io::H5adValue> provenance_of(const ClassifyWork& work) {
  const ClassifyArguments& a = work.options();
  std::vector<std::string> train;
  for (std::size_t s = 0; s < work.first_input; ++s) train.push_back(work.slices[s].name);
  std::map<std::string, io::H5adValue> values{{"label", a.label}, {"learnt", work.learnt}};
  values["classes"] = work.classes.names;
  values["train"] = a.leave_one_out    ? std::vector<std::string>{"the other inputs"}
                    : !a.split.empty() ? std::vector<std::string>{concat("the same slice, split ", a.split)}
                                       : train;
  if (!a.head.empty()) values["head"] = a.head;
  const ClassifyHead& head = work.heads.front();
  if (head.labelled > 0) values["labelled_cells"] = head.labelled;
  if (head.best_epoch > 0) values["best_epoch"] = head.best_epoch;
  if (!head.frozen.strengths.empty()) values["penalty_c"] = head.frozen.strengths.front();
  const tasks::Classifier& classifier = head.classifier;
  values["smooth"] = classifier.smooth;
  if (classifier.kind == tasks::ClassifierKind::pooled) {
    std::vector<std::string> members;
    for (std::size_t m = 0; m < classifier.members.size(); ++m)
      members.push_back(concat(classifier.members[m].input.settings.value("use", std::string()), ": ",
                               format_number(classifier.weights[m], 3)));
    values["heads"] = members;
  }
  if (head.frozen.held_out_f1 > 0) {
    values["chosen_macro_f1"] = head.frozen.held_out_f1;
    values["chosen_on"] =
        std::string(head.frozen.by_slice ? "slices held out in turn" : "places held out in turn");
  }
  const std::vector<ScoreRow> rows = score_rows(work);
  const char* keys[] = {"", "_genes", "_pca", "_pca_nbr"};
  for (std::size_t r = 0; r < rows.size() && !work.scores.empty(); ++r) {
    std::string key = keys[0];
    if (r > 0) {
      const std::string& use = work.scores.front().floors[r - 1].first;
      key = use == "genes" ? keys[1] : use == "pca" ? keys[2] : keys[3];
    }
    double accuracy = 0, f1 = 0;
    for (std::size_t i = 0; i < rows[r].accuracy.size(); ++i) {
      accuracy += rows[r].accuracy[i] / static_cast<double>(rows[r].accuracy.size());
      f1 += rows[r].macro_f1[i] / static_cast<double>(rows[r].accuracy.size());
    }
    values["accuracy" + key] = accuracy;
    values["macro_f1" + key] = f1;
  }
  return values;
}

nlohmann::json scores_json(const tasks::ClassificationScores& scores) {
  return {{"cells", scores.cells},
          {"accuracy", scores.accuracy},
          {"balanced_accuracy", scores.balanced_accuracy},
          {"macro_f1", scores.macro_f1},
          {"weighted_f1", scores.weighted_f1}};
}

nlohmann::json summary_of(const ClassifyWork& work) {
  nlohmann::json summary = {{"classes", work.classes.names}, {"learnt", work.learnt}};
  summary["runs"] = nlohmann::json::array();
  for (const ClassifyScore& score : work.scores) {
    nlohmann::json run = scores_json(score.model);
    run["name"] = score.name;
    for (const auto& [use, floor] : score.floors) run["floors"][use] = scores_json(floor);
    summary["runs"].push_back(std::move(run));
  }
  if (!work.truth.empty()) {
    const auto pooled = tasks::classification_scores(work.truth, work.predicted,
                                                     static_cast<std::int64_t>(work.classes.names.size()));
    summary["pooled"] = scores_json(pooled);
    for (std::size_t c = 0; c < work.classes.names.size(); ++c)
      summary["pooled"]["f1"][work.classes.names[c]] = pooled.by_class[c].f1;
  }
  summary["heads"] = nlohmann::json::array();
  for (std::size_t h = 0; h < work.heads.size(); ++h) {
    const ClassifyHead& head = work.heads[h];
    nlohmann::json one = {{"name", work.run_names[h]},
                          {"labelled_cells", head.labelled},
                          {"best_epoch", head.best_epoch},
                          {"penalty_c", head.frozen.strengths.empty() ? 0.0 : head.frozen.strengths.front()},
                          {"smooth", head.classifier.smooth}};
    for (std::size_t m = 0; m < head.uses.size(); ++m)
      one["members"].push_back({{"use", head.uses[m]},
                                {"penalty_c", head.frozen.strengths[m]},
                                {"weight", head.frozen.weights[m]}});
    summary["heads"].push_back(std::move(one));
  }
  return summary;
}

void fill_outputs(ClassifyWork& work, std::vector<TaskOutput>& outputs) {
  const std::string& key = work.words.key;
  for (std::size_t k = 0; k < work.results.size(); ++k) {
    const ClassifyResult& result = work.results[k];
    io::H5adColumn label, probability;
    label.name = key;
    label.categories = work.classes.names;
    label.codes = result.labels;
    std::vector<std::string> colours = work.colours;
    if (work.options().unassigned_below > 0) {
      label.categories.emplace_back(unassigned_name);
      colours.emplace_back(unassigned_colour);
      for (std::size_t i = 0; i < label.codes.size(); ++i)
        if (label.codes[i] >= 0 && result.sure[i] == 0)
          label.codes[i] = static_cast<std::int32_t>(work.classes.names.size());
    }
    probability.name = key + "_probability";
    probability.reals = result.probability;
    io::H5adResult& file = outputs[k].file;
    file.obs.push_back(std::move(label));
    file.obs.push_back(std::move(probability));
    file.obsm.push_back({key + "_probabilities", result.probabilities.view(), work.classes.names});
    file.uns_lists[key + "_colors"] = std::move(colours);
  }
}

void report_groups(const ClassifyWork& work, TaskReport& report) {
  TaskReportGroups found{work.words.key,
                         "predicted " + work.words.one,
                         work.options().split.empty() ? ""
                                                      : "Each labelled cell by a head that did not see its "
                                                        "label; grey: never held out.",
                         work.classes.names,
                         work.colours,
                         {}};
  TaskReportGroups truth{
      work.options().label, work.options().label + " (truth)", "", work.classes.names, work.colours, {}};
  TaskReportScore sure{
      work.words.key + "_probability", "probability of the " + work.words.one, "probabilities", {}};
  std::vector<TaskReportScore> each;
  for (const std::string& name : work.classes.names)
    each.push_back({work.words.key + ":" + name, "probability of " + name, "probabilities", {}});
  bool any = false;
  for (std::size_t k = 0; k < work.results.size(); ++k) {
    const ClassifyResult& result = work.results[k];
    found.codes.push_back(result.labels);
    const std::vector<std::int32_t>& codes = work.classes.codes[work.first_input + k];
    truth.codes.push_back(codes);
    for (const std::int32_t code : codes) any = any || code >= 0;
    sure.values.emplace_back(result.probability.begin(), result.probability.end());
    const std::int64_t classes = result.probabilities.dim(1);
    for (std::int64_t c = 0; c < classes; ++c) {
      std::vector<float>& values = each[static_cast<std::size_t>(c)].values.emplace_back();
      for (std::int64_t i = 0; i < result.probabilities.dim(0); ++i)
        values.push_back(result.probabilities.data()[i * classes + c]);
    }
  }
  report.groups.push_back(std::move(found));
  if (any) report.beside = truth.key;
  if (any) report.groups.push_back(std::move(truth));
  report.scores.push_back(std::move(sure));
  for (TaskReportScore& one : each) report.scores.push_back(std::move(one));
}

void report_scores(const ClassifyWork& work, TaskReport& report) {
  if (work.scores.empty()) return;
  const auto classes = static_cast<std::int64_t>(work.classes.names.size());
  const tasks::ConfusionMatrix matrix = tasks::confusion_matrix(work.truth, work.predicted, classes);
  const tasks::ClassificationScores pooled = tasks::classification_scores(matrix);
  report.facts.emplace_back("cells judged", format_count(pooled.cells));
  const std::vector<ScoreRow> rows = score_rows(work);
  report.facts.emplace_back("accuracy", mean_text(rows[0].accuracy));
  report.facts.emplace_back("macro F1", mean_text(rows[0].macro_f1));
  TaskReportMatrix shown;
  shown.title = concat("Confusion of ", work.words.many, work.scores.size() > 1 ? ", all runs together" : "");
  shown.rows = shown.columns = work.classes.names;
  shown.values.assign(matrix.counts.begin(), matrix.counts.end());
  report.matrices.push_back(std::move(shown));
  TaskReportBars bars;
  bars.title = concat("F1 of each ", work.words.one);
  bars.unit = "F1";
  for (std::size_t c = 0; c < work.classes.names.size(); ++c)
    if (pooled.by_class[c].occurs()) {
      bars.names.push_back(work.classes.names[c]);
      bars.values.push_back(pooled.by_class[c].f1);
    }
  report.bars.push_back(std::move(bars));
  TaskReportTable table{"Beside plain features", {"learnt from the same labels", "accuracy", "macro F1"}, {}};
  for (const ScoreRow& row : rows)
    table.rows.push_back({row.name, mean_text(row.accuracy), mean_text(row.macro_f1)});
  report.tables.push_back(std::move(table));
  if (work.scores.size() > 1) {
    TaskReportTable runs{"Run by run", {"held out", "cells", "accuracy", "macro F1"}, {}};
    for (const ScoreRow& row : rows)
      if (&row != &rows[0]) runs.columns.push_back("macro F1, " + row.name);
    for (const ClassifyScore& score : work.scores) {
      std::vector<std::string> cells{score.name, format_count(score.model.cells),
                                     format_number(score.model.accuracy, 3),
                                     format_number(score.model.macro_f1, 3)};
      for (const auto& [use, floor] : score.floors) cells.push_back(format_number(floor.macro_f1, 3));
      runs.rows.push_back(std::move(cells));
    }
    report.tables.push_back(std::move(runs));
  }
}

void report_learning(const ClassifyWork& work, TaskReport& report) {
  TaskReportCurves loss{"Training loss", "epoch", "loss", {}},
      held{"Macro F1 on held-out labels", "epoch", "F1", {}};
  for (std::size_t h = 0; h < work.heads.size(); ++h) {
    TaskReportCurve a{work.run_names[h], {}, {}}, b{work.run_names[h], {}, {}};
    for (const ClassifyEpoch& epoch : work.heads[h].epochs) {
      a.x.push_back(static_cast<double>(epoch.epoch));
      a.y.push_back(epoch.loss);
      if (std::isnan(epoch.held_out_f1)) continue;
      b.x.push_back(static_cast<double>(epoch.epoch));
      b.y.push_back(epoch.held_out_f1);
    }
    if (!a.x.empty()) loss.curves.push_back(std::move(a));
    if (!b.x.empty()) held.curves.push_back(std::move(b));
  }
  if (!loss.curves.empty()) report.curves.push_back(std::move(loss));
  if (!held.curves.empty()) report.curves.push_back(std::move(held));
}

/// Genes that the slices have in common, and how many each has besides. \throws DataError (STOFM-4751) none
void report_panels(ClassifyWork& work, TaskReport& report) {
  if (work.slices.size() < 2) return;
  std::vector<const io::Slice*> slices;
  bool equal = true;
  for (const TaskSlice& one : work.slices) {
    slices.push_back(&one.slice);
    equal = equal && one.slice.gene_ids == work.slices[0].slice.gene_ids;
  }
  if (equal) return;
  const tasks::SharedGenes shared =
      tasks::share_genes(slices, work.model == nullptr ? nullptr : &work.model->model);
  TaskReportTable table{"Genes", {"slice", "genes", "in all slices", "others"}, {}};
  bool differ = false;
  for (std::size_t s = 0; s < slices.size(); ++s) {
    std::int64_t others = 0;
    for (const std::int32_t gene : shared.gene_of[s]) others += gene < 0;
    differ = differ || others > 0;
    table.rows.push_back({work.slices[s].name, format_count(slices[s]->genes()), format_count(shared.size()),
                          format_count(others)});
  }
  if (!differ) return;
  work.notices.push_back({"STOFM-W2051",
                          concat("the slices have different genes: ", shared.size(),
                                 " are in all of them, matched by ", shared.matched_by),
                          shared.size()});
  report.tables.push_back(std::move(table));
}

}  // namespace

void write_classify(ClassifyWork& work) {
  const ClassifyArguments& a = work.options();
  TaskReport report;
  report_panels(work, report);
  std::vector<TaskOutput> outputs(work.results.size());
  fill_outputs(work, outputs);
  std::string names;
  for (const TaskSlice& one : work.inputs()) names += concat(names.empty() ? "" : ", ", one.name);
  report.title = concat(work.words.verb == "segment" ? "Regions of " : "Cell types of ", names);
  report.facts.emplace_back("learnt", work.learnt);
  report.facts.emplace_back("classes", format_count(static_cast<std::int64_t>(work.classes.names.size())));
  if (work.heads.front().labelled > 0)
    report.facts.emplace_back("labelled cells", format_count(work.heads.front().labelled));
  for (const TaskSlice& one : work.inputs()) report.slices.push_back(report_slice(one));
  report_groups(work, report);
  report_scores(work, report);
  report_learning(work, report);
  std::vector<std::string> said;
  for (const Notice& notice : work.notices) {
    if (std::find(said.begin(), said.end(), notice.text) != said.end()) continue;
    said.push_back(notice.text);
    Console::get().warn(notice.text, {{"code", notice.code}});
    report.notices.push_back(with_flags(notice.text));
  }
  say_scores(work);
  if (a.unassigned_below > 0) {
    std::int64_t unsure = 0, cells = 0;
    for (const ClassifyResult& result : work.results)
      for (std::size_t i = 0; i < result.labels.size(); ++i) {
        cells += result.labels[i] >= 0;
        unsure += result.labels[i] >= 0 && result.sure[i] == 0;
      }
    Console::get().say(concat(format_count(unsure), " of ", format_count(cells), " cells are unassigned"));
  }
  report.next.emplace_back(
      "python", concat("import scanpy as sc\nslice = sc.read_h5ad(\"", work.inputs().front().h5ad,
                       "\")\nsc.pl.embedding(slice, \"spatial\", color=\"", work.words.key, "\")"));
  write_task(a.task, work.words.verb, *work.arguments, work.inputs(), outputs, work.model,
             provenance_of(work), report, summary_of(work));
}

}  // namespace stofm::program
