// SPDX-License-Identifier: MIT
/// \file
/// `stofm ablate`: one label, one head (logistic regression on frozen features), many features: parts of the
/// model taken away, its options changed, and the plain things it has to beat.

#include <algorithm>
#include <cmath>
#include <set>

#include "console.hpp"
#include "output_plan.hpp"
#include "signals.hpp"
#include "stofm/io/output_file.hpp"
#include "stofm/tasks/shared_classes.hpp"
#include "tasks/ablate_rows.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

double mean_of_runs(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}
/// Over N - 1; 0 for one run.
double spread_of_runs(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double mean = mean_of_runs(values);
  double sum = 0;
  for (const double v : values) sum += (v - mean) * (v - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::string fixed_text(double value) {
  const auto thousandths = std::llround(value * 1000);
  const std::string digits = std::to_string(1000 + thousandths % 1000);
  return concat(thousandths / 1000, ".", digits.substr(1));
}

std::string ablation_csv(std::span<const AblationRow> rows) {
  std::string text = "group,row,seed,macro_f1,accuracy,columns\n";
  for (const AblationRow& row : rows)
    for (std::size_t s = 0; s < row.f1.size(); ++s)
      text += concat(row.group, ",\"", row.name, "\",", s, ",", format_number(row.f1[s], 6), ",",
                     format_number(row.accuracy[s], 6), ",", row.width, "\n");
  return text;
}

void require_classes(const AblateArguments& a, const tasks::SharedClasses& classes,
                     std::size_t train_slices) {
  std::set<std::int32_t> train, test;
  for (std::size_t s = 0; s < classes.codes.size(); ++s)
    for (const std::int32_t code : classes.codes[s])
      if (code >= 0) (s < train_slices ? train : test).insert(code);
  if (train.size() < 2)
    throw DataError({"STOFM-2090", a.train[0], concat("obs[", stofm::quoted(a.label, 60), "]"),
                     train.empty() ? "no labels" : "labels of one class only", "at least two classes",
                     "Name another column (--label), or add labelled slices (--train)."});
  if (!a.test.empty() && test.empty())
    throw DataError({"STOFM-2091", a.test[0], concat("obs[", stofm::quoted(a.label, 60), "]"), "no labels",
                     "labelled cells that judge", "Name labelled slices (--test)."});
  std::string unseen;
  for (const std::int32_t code : test)
    if (!train.contains(code))
      unseen += concat(unseen.empty() ? "" : ", ", classes.names[static_cast<std::size_t>(code)]);
  if (!unseen.empty())
    Console::get().warn(
        concat("classes of the test slices that no training slice has, counted as errors: ", unseen),
        {{"code", "STOFM-W2056"}});
}

}  // namespace

int run_ablate(const Arguments& arguments) {
  const AblateArguments& a = arguments.ablate;
  Console& console = Console::get();
  std::vector<std::string> read = a.train;
  read.insert(read.end(), a.test.begin(), a.test.end());
  check_pictures(a.task, read);
  if (!a.csv.empty()) check_one_output(a.csv, read, a.task.overwrite);
  std::vector<TaskSlice> slices = open_others(a.train, a.task, {a.label});
  const std::size_t train_slices = slices.size();
  for (TaskSlice& slice : open_others(a.test, a.task, {a.label})) {
    for (const TaskSlice& other : slices)
      if (io::same_file(slice.slice.path, other.slice.path))
        throw UsageError({"STOFM-2092", slice.slice.path, "--test", "a slice that is learnt from, too",
                          "other slices than those of --train",
                          "Leave it out of --test; without --test a part of each training slice judges."});
    slices.push_back(std::move(slice));
  }
  std::vector<const io::Slice*> opened;
  std::vector<const io::SliceLabels*> labels;
  std::vector<std::int64_t> cells;
  for (const TaskSlice& slice : slices) {
    opened.push_back(&slice.slice);
    labels.push_back(&slice.slice.labels.front());
    cells.push_back(slice.slice.cells);
  }
  std::vector<std::string> none = tasks::words_for_no_label();
  none.insert(none.end(), a.ignore.begin(), a.ignore.end());
  const tasks::SharedClasses classes = tasks::share_classes(labels, cells, none);
  require_classes(a, classes, train_slices);
  const LoadedModel model = load_task_model(a.task);

  const auto task_of = [&](std::int64_t run) {
    tasks::AblationTask task{classes.codes, {}, static_cast<std::int64_t>(classes.names.size())};
    for (std::size_t s = 0; s < slices.size(); ++s) {
      if (!a.test.empty()) {
        task.roles.push_back(tasks::role_of_labelled(
            task.labels[s], s < train_slices ? tasks::CellRole::train : tasks::CellRole::test));
        continue;
      }
      const Tensor<double> xy = slices[s].slice.coordinates.contiguous();
      task.roles.push_back(tasks::hold_out_by_place(std::as_const(xy).view(), task.labels[s],
                                                    run % (std::max<std::int64_t>)(a.seeds, 5),
                                                    (std::max<std::int64_t>)(a.seeds, 5)));
    }
    return task;
  };
  AblationRun run(a, opened, model);
  std::vector<AblationRow> rows = run.rows();
  std::vector<std::string> left_out;
  for (AblationRow& row : rows) {
    if (run.too_wide(row)) {
      left_out.push_back(concat("genes: more than ", AblationRun::most_gene_columns, " shared genes"));
      console.warn("row left out: " + left_out.back());
      continue;
    }
    AblationFeatures features;
    for (std::int64_t s = 0; s < a.seeds; ++s) {
      const std::uint64_t seed = a.task.geometry.seed + static_cast<std::uint64_t>(s);
      if (s == 0 || row.seeded) features = row.make(seed);
      const tasks::ClassificationScores scores =
          tasks::ablation_scores(task_of(s), features, a.draw, RandomKey{.seed = seed}.child(4780));
      row.f1.push_back(scores.macro_f1);
      row.accuracy.push_back(scores.accuracy);
    }
    row.width = features[0].dim(1);
    console.end_progress();
    console.say(concat("  ", row.name, ": macro F1 ", fixed_text(mean_of_runs(row.f1)), " +- ",
                       fixed_text(spread_of_runs(row.f1)), ", accuracy ",
                       fixed_text(mean_of_runs(row.accuracy))));
  }
  std::erase_if(rows, [](const AblationRow& row) { return row.f1.empty(); });

  const std::string judged = a.test.empty() ? "a fifth at one side of each slice, another side each seed"
                                            : concat(slices.size() - train_slices, " other slices");
  TaskReport report;
  report.title = "What each scale contributes to " + a.label;
  report.facts = {{"label", a.label},
                  {"classes", std::to_string(classes.names.size())},
                  {"judged by", judged},
                  {"runs of each row", std::to_string(a.seeds)}};
  TaskReportBars bars{concat("Macro F1 of ", a.label, ": mean of ", a.seeds, " runs, lowest and highest"),
                      "macro F1",
                      {},
                      {},
                      {},
                      {}};
  TaskReportTable table{"Rows", {"group", "row", "macro F1", "+-", "accuracy", "+-", "columns"}, {}};
  nlohmann::json json_rows = nlohmann::json::array();
  for (const AblationRow& row : rows) {
    bars.names.push_back(row.name);
    bars.values.push_back(mean_of_runs(row.f1));
    bars.low.push_back(*std::min_element(row.f1.begin(), row.f1.end()));
    bars.high.push_back(*std::max_element(row.f1.begin(), row.f1.end()));
    table.rows.push_back({row.group, row.name, fixed_text(mean_of_runs(row.f1)),
                          fixed_text(spread_of_runs(row.f1)), fixed_text(mean_of_runs(row.accuracy)),
                          fixed_text(spread_of_runs(row.accuracy)), std::to_string(row.width)});
    json_rows.push_back({{"group", row.group},
                         {"row", row.name},
                         {"macro_f1", row.f1},
                         {"accuracy", row.accuracy},
                         {"mean_macro_f1", mean_of_runs(row.f1)},
                         {"sd_macro_f1", spread_of_runs(row.f1)},
                         {"mean_accuracy", mean_of_runs(row.accuracy)},
                         {"sd_accuracy", spread_of_runs(row.accuracy)},
                         {"columns", row.width}});
  }
  report.bars.push_back(std::move(bars));
  report.tables.push_back(std::move(table));
  report.notices = left_out;
  report.notices.push_back(
      "The micro scale alone is not what the weights were trained on: see docs/ablate.md.");
  std::vector<TaskOutput> outputs;
  write_task(a.task, "ablate", arguments, slices, outputs, &model, {}, report,
             {{"label", a.label},
              {"classes", classes.names},
              {"train", a.train},
              {"test", a.test},
              {"judged_by", judged},
              {"seeds", a.seeds},
              {"draw", a.draw},
              {"rows", json_rows}});
  if (!a.csv.empty()) {
    const std::string text = ablation_csv(rows);
    io::atomic_write(a.csv, [&text](io::OutputFile& file) { file.write(text); },
                     {.overwrite = a.task.overwrite});
  }
  return 0;
}

}  // namespace stofm::program
