// SPDX-License-Identifier: MIT
/// \file
/// `stofm evaluate`.

#include <algorithm>
#include <cmath>

#include "console.hpp"
#include "tasks/evaluate_run.hpp"
#include "tasks/task_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

/// Columns one below the other: the first to the left, the others to the right.
std::string aligned_table(const TaskReportTable& table) {
  std::vector<std::vector<std::string>> lines{table.columns};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<std::size_t> width(table.columns.size(), 0);
  for (const auto& line : lines)
    for (std::size_t c = 0; c < line.size(); ++c) width[c] = std::max(width[c], line[c].size());
  std::string text;
  for (const auto& line : lines) {
    for (std::size_t c = 0; c < line.size(); ++c) {
      const std::string gap(width[c] - line[c].size(), ' ');
      text += c == 0 ? line[c] + gap : "  " + gap + line[c];
    }
    while (text.ends_with(' ')) text.pop_back();
    text += "\n";
  }
  return text;
}

TaskReportTable figure_table(const std::vector<EvaluateFigure>& figures) {
  const bool sure = std::any_of(figures.begin(), figures.end(),
                                [](const EvaluateFigure& f) { return std::isfinite(f.interval.low); });
  TaskReportTable table{"Scores", {"score", "value"}, {}};
  if (sure) table.columns.push_back("95 % of draws of squares");
  for (const EvaluateFigure& figure : figures) {
    table.rows.push_back({figure.label, figure_text(figure.value)});
    if (!sure) continue;
    table.rows.back().push_back(
        std::isfinite(figure.interval.low)
            ? concat(figure_text(figure.interval.low), " to ", figure_text(figure.interval.high))
            : std::string());
  }
  return table;
}

}  // namespace

int run_evaluate(const Arguments& arguments) {
  const EvaluateArguments& a = arguments.evaluate;
  if (a.task.inputs.empty() && a.task.list.empty())
    throw UsageError(
        {"STOFM-2003", "", "input", "no slice", "at least one .h5ad file", "Name a slice, or give --list."});
  const EvaluateInput input = read_evaluate_input(a);
  std::vector<std::string> paths;
  for (const EvaluateSlice& slice : input.slices)
    if (std::find(paths.begin(), paths.end(), slice.path) == paths.end()) paths.push_back(slice.path);
  check_pictures(a.task, paths);
  EvaluateResult result;
  result.words = input.words;
  if (!a.predicted.empty()) evaluate_labels(a, input, result);
  if (!a.embedding.empty()) evaluate_embedding(a, input, result);
  if (!a.truth_proportions.empty()) evaluate_proportions(a, input, result);

  result.tables.insert(result.tables.begin(), figure_table(result.figures));
  if (!a.task.json) {
    std::string text;
    for (const std::string& line : result.words) text += line + "\n";
    for (const TaskReportTable& table : result.tables) text += "\n" + aligned_table(table);
    print(text);
  }
  TaskReport& report = result.report;
  report.title = concat("Scores of ",
                        paths.size() == 1 ? task_slice_name(paths.front()) : concat(paths.size(), " slices"));
  for (const EvaluateFigure& figure : result.figures)
    if (report.facts.size() < 6 && !figure.label.starts_with(' '))
      report.facts.emplace_back(figure.label, figure_text(figure.value));
  for (const EvaluateSlice& slice : input.slices) {
    TaskReportSlice& drawn = report.slices.emplace_back();
    drawn.name = slice.name;
    for (std::int64_t i = 0; slice.xy.rank() == 2 && i < slice.cells; ++i) {
      drawn.x.push_back(static_cast<float>(slice.xy(i, 0)));
      drawn.y.push_back(static_cast<float>(slice.xy(i, 1)));
    }
  }
  report.tables = result.tables;
  report.notices = result.words;
  for (const auto& [key, value] : {std::pair<const char*, std::string>{"--truth", a.truth},
                                   {"--predicted", a.predicted},
                                   {"--embedding", a.embedding},
                                   {"--truth-proportions", a.truth_proportions},
                                   {"--predicted-proportions", a.predicted_proportions},
                                   {"--bootstrap", std::to_string(a.bootstrap)},
                                   {"--only", a.task.slice.only}})
    if (!value.empty()) report.options.emplace_back(key, value);
  result.summary["inputs"] = paths;
  result.summary["cells"] = input.cells;
  result.summary["notices"] = result.words;
  write_task(a.task, "evaluate", arguments, {}, {}, nullptr, {}, report, result.summary);
  return 0;
}

}  // namespace stofm::program
