// SPDX-License-Identifier: MIT
/// \file
/// Labels against labels for `stofm evaluate`: classes by name, or clusters whatever they are called.

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "console.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/clustering_metrics.hpp"
#include "stofm/tasks/spatial_coherence.hpp"
#include "tasks/evaluate_run.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {
namespace {

constexpr double evaluate_unknown = std::numeric_limits<double>::quiet_NaN();

/// Cells with both labels, counted where one is missing.
struct LabelCounts {
  tasks::ConfusionMatrix matrix;
  std::int64_t both = 0, no_truth = 0, no_prediction = 0;
};

LabelCounts count_labels(const EvaluateInput& input, std::span<const EvaluateSlice> slices) {
  LabelCounts counts;
  const auto classes = static_cast<std::int64_t>(input.classes.size());
  counts.matrix = {classes, std::vector<std::int64_t>(static_cast<std::size_t>(classes * classes), 0)};
  for (const EvaluateSlice& slice : slices)
    for (std::size_t i = 0; i < slice.truth.size(); ++i) {
      counts.no_truth += slice.truth[i] < 0;
      counts.no_prediction += slice.truth[i] >= 0 && slice.predicted[i] < 0;
      if (slice.truth[i] < 0 || slice.predicted[i] < 0) continue;
      ++counts.both;
      ++counts.matrix.counts[static_cast<std::size_t>(slice.truth[i] * classes + slice.predicted[i])];
    }
  return counts;
}

/// Scores in a fixed order; those of classes only where names are shared.
std::vector<EvaluateFigure> label_figures(const tasks::ConfusionMatrix& matrix, bool same_names) {
  std::vector<EvaluateFigure> figures;
  if (same_names) {
    const tasks::ClassificationScores s = tasks::classification_scores(matrix);
    figures = {{"accuracy", "accuracy", s.accuracy},
               {"balanced_accuracy", "balanced accuracy", s.balanced_accuracy},
               {"macro_f1", "macro F1", s.macro_f1},
               {"weighted_f1", "weighted F1", s.weighted_f1}};
  }
  const tasks::ClusteringScores c = tasks::clustering_scores(matrix);
  figures.push_back({"adjusted_rand", "adjusted Rand index", c.adjusted_rand});
  figures.push_back(
      {"normalized_mutual_information", "normalised mutual information", c.normalized_mutual_information});
  figures.push_back({"homogeneity", "homogeneity", c.homogeneity});
  figures.push_back({"completeness", "completeness", c.completeness});
  figures.push_back({"v_measure", "V measure", c.v_measure});
  return figures;
}

/// Cells of each block by pair of labels, without the pairs that do not occur.
using BlockPairs = std::vector<std::vector<std::pair<std::size_t, std::int64_t>>>;

BlockPairs pairs_of_blocks(const EvaluateInput& input, const EvaluateBlocks& blocks) {
  std::int64_t count = 0;
  for (const std::int64_t of_slice : blocks.of_slice) count += of_slice;
  std::vector<std::map<std::size_t, std::int64_t>> maps(static_cast<std::size_t>(count));
  for (std::size_t s = 0; s < input.slices.size(); ++s)
    for (std::size_t i = 0; i < blocks.number[s].size(); ++i)
      if (const std::int64_t block = blocks.number[s][i]; block >= 0)
        ++maps[static_cast<std::size_t>(block)]
              [static_cast<std::size_t>(input.slices[s].truth[i]) * input.classes.size() +
               static_cast<std::size_t>(input.slices[s].predicted[i])];
  BlockPairs pairs;
  for (const auto& map : maps) pairs.emplace_back(map.begin(), map.end());
  return pairs;
}

/// Figures of each class under times of blocks: F1 of each true class, then the figures.
std::vector<double> redrawn(const EvaluateInput& input, const BlockPairs& pairs,
                            std::span<const std::int64_t> times) {
  tasks::ConfusionMatrix matrix{static_cast<std::int64_t>(input.classes.size()),
                                std::vector<std::int64_t>(input.classes.size() * input.classes.size(), 0)};
  std::int64_t cells = 0;
  for (std::size_t b = 0; b < pairs.size(); ++b)
    for (const auto& [place, count] : pairs[b]) {
      matrix.counts[place] += times[b] * count;
      cells += times[b] * count;
    }
  const auto classes = static_cast<std::size_t>(input.true_classes);
  std::vector<double> values(classes, evaluate_unknown);
  if (cells == 0) {
    values.resize(classes + (input.same_names ? 9 : 5), evaluate_unknown);
    return values;
  }
  if (input.same_names) {
    const tasks::ClassificationScores s = tasks::classification_scores(matrix);
    for (std::size_t c = 0; c < classes; ++c)
      if (s.by_class[c].occurs()) values[c] = s.by_class[c].f1;
  }
  for (const EvaluateFigure& figure : label_figures(matrix, input.same_names)) values.push_back(figure.value);
  return values;
}

/// Coherence of one side over all slices with positions, weighed by cells. \return {mean, by chance}
std::pair<double, double> coherence_of(const EvaluateInput& input,
                                       std::vector<std::int32_t> EvaluateSlice::*side) {
  double sum = 0, chance = 0;
  std::int64_t cells = 0;
  for (const EvaluateSlice& slice : input.slices) {
    if (slice.xy.rank() != 2) continue;
    std::vector<std::int32_t> labels;
    std::vector<double> xy;
    for (std::size_t i = 0; i < (slice.*side).size(); ++i) {
      if ((slice.*side)[i] < 0) continue;
      labels.push_back((slice.*side)[i]);
      for (std::int64_t axis = 0; axis < 2; ++axis)
        xy.push_back(slice.xy(static_cast<std::int64_t>(i), axis));
    }
    if (labels.size() < 2) continue;
    const auto count = static_cast<std::int64_t>(labels.size());
    const tasks::SpatialCoherence found =
        tasks::spatial_coherence(matrix_view<const double>(xy.data(), count, 2), labels);
    sum += found.mean * static_cast<double>(count);
    chance += found.by_chance * static_cast<double>(count);
    cells += count;
  }
  if (cells == 0) return {evaluate_unknown, evaluate_unknown};
  return {sum / static_cast<double>(cells), chance / static_cast<double>(cells)};
}

nlohmann::json figures_json(const std::vector<EvaluateFigure>& figures) {
  nlohmann::json object;
  for (const EvaluateFigure& figure : figures) object[figure.key] = number_json(figure.value);
  return object;
}

void add_class_table(const EvaluateInput& input, const LabelCounts& counts,
                     std::span<const tasks::ScoreInterval> intervals, EvaluateResult& result,
                     nlohmann::json& json) {
  const tasks::ClassificationScores scores = tasks::classification_scores(counts.matrix);
  TaskReportTable table{"Each class", {"class", "cells", "predicted", "precision", "recall", "F1"}, {}};
  TaskReportBars bars{"F1 of each class", "F1", {}, {}, {}, {}};
  json["classes"] = nlohmann::json::array();
  for (std::size_t c = 0; c < scores.by_class.size(); ++c) {
    const tasks::ClassScores& s = scores.by_class[c];
    if (!s.occurs()) continue;
    table.rows.push_back({input.classes[c], format_count(s.support), format_count(s.predicted),
                          figure_text(s.precision), figure_text(s.recall), figure_text(s.f1)});
    nlohmann::json one = {{"name", input.classes[c]}, {"cells", s.support}, {"predicted", s.predicted},
                          {"precision", s.precision}, {"recall", s.recall}, {"f1", s.f1}};
    const bool known = c < intervals.size() && std::isfinite(intervals[c].low);
    if (known) one["f1_interval"] = {intervals[c].low, intervals[c].high};
    json["classes"].push_back(std::move(one));
    bars.names.push_back(input.classes[c]);
    bars.values.push_back(s.f1);
    bars.low.push_back(known ? intervals[c].low : s.f1);
    bars.high.push_back(known ? intervals[c].high : s.f1);
  }
  if (intervals.empty()) bars.low.clear(), bars.high.clear();
  result.tables.push_back(std::move(table));
  result.report.bars.push_back(std::move(bars));
}

void add_confusion(const EvaluateArguments& a, const EvaluateInput& input, const LabelCounts& counts,
                   EvaluateResult& result, nlohmann::json& json) {
  const auto classes = static_cast<std::size_t>(counts.matrix.classes);
  std::vector<std::size_t> rows, columns;
  for (std::size_t c = 0; c < classes; ++c) {
    std::int64_t row = 0, column = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      row += counts.matrix.counts[c * classes + k];
      column += counts.matrix.counts[k * classes + c];
    }
    if (row > 0) rows.push_back(c);
    if (column > 0) columns.push_back(c);
  }
  TaskReportMatrix matrix;
  matrix.title = input.same_names ? "Confusion" : "Clusters in each class";
  matrix.row_title = a.truth;
  matrix.column_title = a.predicted;
  matrix.row_groups = "truth";
  matrix.column_groups = "predicted";
  nlohmann::json table = nlohmann::json::array();
  for (const std::size_t r : rows) matrix.rows.push_back(input.classes[r]);
  for (const std::size_t c : columns) matrix.columns.push_back(input.classes[c]);
  for (const std::size_t r : rows) {
    nlohmann::json line = nlohmann::json::array();
    for (const std::size_t c : columns) {
      matrix.values.push_back(static_cast<double>(counts.matrix.counts[r * classes + c]));
      line.push_back(counts.matrix.counts[r * classes + c]);
    }
    table.push_back(std::move(line));
  }
  json["confusion"] = {{"rows", matrix.rows}, {"columns", matrix.columns}, {"counts", table}};
  result.report.matrices.push_back(std::move(matrix));
}

void add_groups(const std::string& key, const std::string& label, const EvaluateInput& input,
                std::vector<std::int32_t> EvaluateSlice::*side, TaskReport& report) {
  TaskReportGroups groups;
  groups.key = key;
  groups.label = label;
  groups.names = input.classes;
  if (std::all_of(input.colours.begin(), input.colours.end(), [](const auto& c) { return !c.empty(); }))
    groups.colours = input.colours;
  for (const EvaluateSlice& slice : input.slices) groups.codes.push_back(slice.*side);
  report.groups.push_back(std::move(groups));
}

void add_by_slice(const EvaluateInput& input, EvaluateResult& result, nlohmann::json& json) {
  TaskReportTable table{"Each slice", {"slice", "cells"}, {}};
  json["slices"] = nlohmann::json::array();
  for (const EvaluateSlice& slice : input.slices) {
    const LabelCounts counts = count_labels(input, std::span(&slice, 1));
    nlohmann::json one = {{"name", slice.name}, {"path", slice.path}, {"cells", counts.both}};
    std::vector<std::string> row{slice.name, format_count(counts.both)};
    if (counts.both > 0) {
      const auto figures = label_figures(counts.matrix, input.same_names);
      one["scores"] = figures_json(figures);
      for (const EvaluateFigure& figure : figures) {
        if (table.columns.size() < figures.size() + 2) table.columns.push_back(figure.label);
        row.push_back(figure_text(figure.value));
      }
    }
    json["slices"].push_back(std::move(one));
    table.rows.push_back(std::move(row));
  }
  for (auto& row : table.rows) row.resize(table.columns.size(), "-");
  result.tables.push_back(std::move(table));
}

}  // namespace

void evaluate_labels(const EvaluateArguments& a, const EvaluateInput& input, EvaluateResult& result) {
  const LabelCounts counts = count_labels(input, input.slices);
  const std::string pair =
      concat("obs[", stofm::quoted(a.truth, 60), "] and obs[", stofm::quoted(a.predicted, 60), "]");
  if (counts.both == 0)
    throw DataError({"STOFM-4780", input.slices.empty() ? std::string() : input.slices.front().path, pair,
                     concat("no cell with both labels (", counts.no_truth, " of ", input.cells,
                            " without a true one, ", counts.no_prediction, " more without a predicted one)"),
                     "at least one", "Name columns of the same cells with --truth and --predicted."});
  nlohmann::json json = {{"truth", a.truth},
                         {"predicted", a.predicted},
                         {"cells", counts.both},
                         {"without_truth", counts.no_truth},
                         {"without_prediction", counts.no_prediction},
                         {"names_shared", input.same_names}};
  result.words.push_back(
      concat(a.predicted, " against ", a.truth, ": ", format_count(counts.both), " cells"));
  if (counts.no_truth + counts.no_prediction > 0)
    result.words.push_back(concat("left out: ", format_count(counts.no_truth), " cells without ", a.truth,
                                  ", ", format_count(counts.no_prediction), " more without ", a.predicted));
  if (!input.same_names)
    result.words.push_back(concat("no label of ", a.predicted, " is one of ", a.truth,
                                  ": they are compared as clusters, whatever they are called"));
  if (input.true_classes < 2)
    result.words.push_back(concat("the truth is one class only: clustering scores say nothing about it"));

  std::vector<EvaluateFigure> figures = label_figures(counts.matrix, input.same_names);
  const EvaluateBlocks blocks = evaluate_blocks(input, [](const EvaluateSlice& slice, std::int64_t i) {
    return slice.truth[static_cast<std::size_t>(i)] >= 0 && slice.predicted[static_cast<std::size_t>(i)] >= 0;
  });
  std::vector<tasks::ScoreInterval> of_class;
  if (a.bootstrap > 0 && !blocks.of_slice.empty()) {
    const BlockPairs pairs = pairs_of_blocks(input, blocks);
    const auto classes = static_cast<std::size_t>(input.true_classes);
    const auto intervals = tasks::block_bootstrap(
        blocks.of_slice, classes + figures.size(), a.bootstrap, a.task.geometry.seed,
        [&](std::span<const std::int64_t> times) { return redrawn(input, pairs, times); });
    for (std::size_t k = 0; k < figures.size(); ++k) figures[k].interval = intervals[classes + k];
    if (input.same_names && std::isfinite(figures.front().interval.low))
      of_class.assign(intervals.begin(), intervals.begin() + static_cast<std::ptrdiff_t>(classes));
    json["squares"] = pairs.size();
  }
  json["scores"] = figures_json(figures);
  for (const EvaluateFigure& figure : figures)
    if (std::isfinite(figure.interval.low))
      json["intervals"][figure.key] = {figure.interval.low, figure.interval.high};

  const auto [of_truth, truth_chance] = coherence_of(input, &EvaluateSlice::truth);
  const auto [of_prediction, prediction_chance] = coherence_of(input, &EvaluateSlice::predicted);
  if (std::isfinite(of_truth)) {
    figures.push_back({"coherence_predicted", "spatial coherence", of_prediction});
    figures.push_back({"coherence_truth", "  of the truth", of_truth});
    figures.push_back({"coherence_by_chance", "  by chance", prediction_chance});
    json["coherence"] = {{"truth", number_json(of_truth)},
                         {"predicted", number_json(of_prediction)},
                         {"truth_by_chance", number_json(truth_chance)},
                         {"predicted_by_chance", number_json(prediction_chance)}};
  }
  result.figures.insert(result.figures.end(), figures.begin(), figures.end());
  add_groups("predicted", a.predicted, input, &EvaluateSlice::predicted, result.report);
  add_groups("truth", a.truth, input, &EvaluateSlice::truth, result.report);
  result.report.beside = "truth";
  if (input.same_names) {
    add_class_table(input, counts, of_class, result, json);
    TaskReportGroups right;
    right.key = "right";
    right.label = "right or wrong";
    right.names = {"right", "wrong"};
    right.colours = {"#bdbdbd", "#d62728"};
    for (const EvaluateSlice& slice : input.slices) {
      auto& codes = right.codes.emplace_back(slice.truth.size(), -1);
      for (std::size_t i = 0; i < codes.size(); ++i)
        if (slice.truth[i] >= 0 && slice.predicted[i] >= 0)
          codes[i] = slice.truth[i] == slice.predicted[i] ? 0 : 1;
    }
    result.report.groups.push_back(std::move(right));
  }
  add_confusion(a, input, counts, result, json);
  if (a.by == "slice") add_by_slice(input, result, json);
  result.summary["labels"] = std::move(json);
}

}  // namespace stofm::program
