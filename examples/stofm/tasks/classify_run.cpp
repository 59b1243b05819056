// SPDX-License-Identifier: MIT
#include "tasks/classify_run.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "console.hpp"
#include "output_plan.hpp"
#include "signals.hpp"
#include "stofm/tasks/group_colours.hpp"
#include "stofm/tasks/head_rows.hpp"
#include "stofm/version.hpp"
#include "tasks/classify_plan.hpp"

namespace stofm::program {
namespace {

using tasks::CellRole;

void check_classify(const ClassifyArguments& a, const ClassifyWords& words) {
  const bool several = a.leave_one_out || !a.split.empty();
  if (a.head.empty() && a.train.empty() && !several)
    throw UsageError({"STOFM-2081", "", words.verb, "nothing to learn from",
                      "--train FILE..., --leave-one-out, --hold-out or --head HEAD",
                      "Name labelled slices with --train and their column with --label."});
  if (a.label.empty() && a.head.empty())
    throw UsageError({"STOFM-2082", "", "--label", "nothing", "a column of obs",
                      "Name the column with the labels by --label."});
  if (const std::string why = tasks::unsaved_features(a.task.use);
      !a.save.empty() && a.tune == "none" && !why.empty())
    throw UsageError({"STOFM-2088", a.save, "--save", why, "other features",
                      "Choose other features with --use, or leave --save out."});
  // --features pca fits as many components as the model is wide, --use pca thirty; a head stores one basis.
  if (a.save.empty() || a.tune != "none" || a.task.features != "pca" || a.task.use == "auto") return;
  for (const std::string& use : tasks::heads_of_use(a.task.use)) {
    const std::vector<std::string> parts = tasks::parts_of_use(use);
    const auto any = [&parts](auto&& is) { return std::any_of(parts.begin(), parts.end(), is); };
    if (any([](const std::string& part) { return part.starts_with("pca"); }) &&
        any([](const std::string& part) { return tasks::needs_model(tasks::feature_kind(part)); }))
      throw UsageError(
          {"STOFM-2088", a.save, "--save", "a head on two bases of components", "one",
           "Leave --features pca or the pca of --use out, write a comma in place of the plus, or "
           "leave --save out."});
  }
}

std::string classify_place(const std::string& path) {
  std::error_code none;
  return std::filesystem::weakly_canonical(path, none).string();
}

/// The inputs, with the column of labels where all of them have it.
std::vector<TaskSlice> open_judged(const ClassifyArguments& a, const std::string& verb, bool needed) {
  if (a.label.empty()) return open_inputs(a.task, verb, {});
  if (needed) return open_inputs(a.task, verb, {a.label});
  try {
    return open_inputs(a.task, verb, {a.label});
  } catch (const UsageError& e) {
    if (e.code() != "STOFM-3552") throw;
    return open_inputs(a.task, verb, {});
  }
}

const io::SliceLabels* labels_of_slice(const TaskSlice& slice, const std::string& column) {
  for (const io::SliceLabels& labels : slice.slice.labels)
    if (labels.name == column) return &labels;
  return nullptr;
}

tasks::SharedClasses classes_of(std::span<const TaskSlice> slices, const ClassifyArguments& a,
                                const std::vector<std::string>& first = {}) {
  std::vector<const io::SliceLabels*> labels;
  std::vector<std::int64_t> cells;
  for (const TaskSlice& one : slices) {
    labels.push_back(a.label.empty() ? nullptr : labels_of_slice(one, a.label));
    cells.push_back(one.slice.cells);
  }
  std::vector<std::string> none = tasks::words_for_no_label();
  none.insert(none.end(), a.ignore.begin(), a.ignore.end());
  return tasks::share_classes(labels, cells, none, first);
}

/// Most probable class of each row.
std::vector<std::int32_t> classify_labels(const Tensor<double>& probabilities) {
  std::vector<std::int32_t> labels = tasks::most_probable(probabilities.view());
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (std::isnan(probabilities.view().row(static_cast<std::int64_t>(i))[0])) labels[i] = -1;
  return labels;
}

/// Sums of probabilities of one input over the runs that predict it.
struct ClassifySum {
  Tensor<double> sum;               ///< [cells, classes]
  std::vector<std::int64_t> times;  ///< [cells]
};

ClassifyResult result_of(const ClassifySum& sum, const ClassifyArguments& a) {
  const std::int64_t n = sum.sum.dim(0), classes = sum.sum.dim(1);
  Tensor<double> mean({n, classes});
  ClassifyResult result;
  result.probabilities = Tensor<float>({n, classes});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t c = 0; c < classes; ++c) {
      const std::int64_t times = sum.times[static_cast<std::size_t>(i)];
      const double value = times == 0 ? std::numeric_limits<double>::quiet_NaN()
                                      : sum.sum.data()[i * classes + c] / static_cast<double>(times);
      mean.data()[i * classes + c] = value;
      result.probabilities.data()[i * classes + c] = static_cast<float>(value);
    }
  result.labels = classify_labels(mean);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t label = result.labels[static_cast<std::size_t>(i)];
    const double* row = mean.data() + i * classes;
    result.probability.push_back(label < 0 ? std::numeric_limits<double>::quiet_NaN() : row[label]);
    result.sure.push_back(label >= 0 && *std::max_element(row, row + classes) >= a.unassigned_below);
  }
  return result;
}

/// Adds `found` [cells, head classes] to the sum, for the cells that this run may predict.
void add_prediction(ClassifySum& sum, const Tensor<double>& found, const ClassifyRun& run, std::size_t slice,
                    const std::vector<std::int32_t>& codes) {
  const std::int64_t width = found.dim(1), classes = sum.sum.dim(1);
  for (std::int64_t i = 0; i < found.dim(0); ++i) {
    const auto cell = static_cast<std::size_t>(i);
    if (run.held_out_only && codes[cell] >= 0 && run.roles[slice][cell] != CellRole::test) continue;
    for (std::int64_t c = 0; c < width; ++c) sum.sum.data()[i * classes + c] += found.data()[i * width + c];
    ++sum.times[cell];
  }
}

void score_run(ClassifyWork& work, const ClassifyRun& run,
               const std::vector<std::vector<std::int32_t>>& labels,
               const std::vector<ClassifyFloor>& floors) {
  std::vector<std::int32_t> truth, found;
  for (std::size_t k = 0; k < run.predict.size(); ++k) {
    const std::size_t s = run.predict[k];
    for (std::size_t i = 0; i < run.roles[s].size(); ++i)
      if (run.roles[s][i] == CellRole::test) {
        truth.push_back(work.classes.codes[s][i]);
        found.push_back(labels[k][i]);
      }
  }
  if (truth.empty()) return;
  const auto classes = static_cast<std::int64_t>(work.classes.names.size());
  ClassifyScore score{run.name, tasks::classification_scores(truth, found, classes), {}};
  for (const ClassifyFloor& floor : floors)
    score.floors.emplace_back(floor.use, tasks::classification_scores(truth, floor.predictions, classes));
  work.scores.push_back(std::move(score));
  work.truth.insert(work.truth.end(), truth.begin(), truth.end());
  work.predicted.insert(work.predicted.end(), found.begin(), found.end());
}

std::vector<ClassifySum> classify_sums(const ClassifyWork& work) {
  std::vector<ClassifySum> sums;
  for (const TaskSlice& one : work.inputs())
    sums.push_back(
        {Tensor<double>::zeros({one.slice.cells, static_cast<std::int64_t>(work.classes.names.size())}),
         std::vector<std::int64_t>(static_cast<std::size_t>(one.slice.cells), 0)});
  return sums;
}

void set_colours(ClassifyWork& work) {
  work.colours = tasks::with_usual_colours(work.classes.colours, work.classes.names.size());
}

void finish(ClassifyWork& work, const std::vector<ClassifySum>& sums) {
  for (const ClassifySum& sum : sums) work.results.push_back(result_of(sum, work.options()));
}

/// Labelled slices and inputs; an input that is also named by --train is an input.
void open_classify(ClassifyWork& work) {
  const ClassifyArguments& a = work.options();
  const bool labelled = a.leave_one_out || !a.split.empty();
  std::vector<TaskSlice> inputs = open_judged(a, work.words.verb, labelled);
  std::vector<std::string> train;
  for (const std::string& path : a.train)
    if (std::none_of(inputs.begin(), inputs.end(), [&path](const TaskSlice& one) {
          return classify_place(one.slice.path) == classify_place(path);
        }))
      train.push_back(path);
    else
      Console::get().say(concat(path, " is an input: its own labels are not learnt from"));
  if (!a.train.empty() && train.empty())
    throw UsageError({"STOFM-2085", a.train.front(), "--train", "only slices that are inputs too",
                      "another labelled slice",
                      "Use --leave-one-out for several labelled slices, or --hold-out to score inside one."});
  if (a.leave_one_out && inputs.size() < 2)
    throw UsageError({"STOFM-2086", "", "--leave-one-out", concat(inputs.size(), " inputs"), "at least two",
                      "Name several labelled slices, or score inside one with --hold-out."});
  if (!train.empty()) work.slices = open_others(train, a.task, {a.label});
  work.first_input = work.slices.size();
  for (TaskSlice& one : inputs) work.slices.push_back(std::move(one));
}

int predict_by_head(ClassifyWork& work) {
  const ClassifyArguments& a = work.options();
  ClassifyHead head;
  head.classifier = read_head(a.head);
  if (a.smooth_given && a.smooth >= 0) head.classifier.smooth = a.smooth;
  const tasks::Classifier& c = head.classifier;
  const std::string verb = c.provenance.value("verb", work.words.verb);
  if (verb != work.words.verb)
    throw UsageError({"STOFM-2087", a.head, "--head", concat("a head that was saved by stofm ", verb),
                      concat("one of stofm ", work.words.verb),
                      concat("Use stofm ", verb, " with this head.")});
  open_classify(work);
  std::optional<LoadedModel> model;
  if (tasks::head_needs_model(c)) {
    model = load_task_model(a.task);
    work.model = &*model;
    check_head_model(c, *model);
  }
  work.classes = classes_of(work.slices, a, c.classes);
  const auto colours = c.provenance.value("colours", std::vector<std::string>());
  for (std::size_t i = 0; i < colours.size() && i < work.classes.colours.size(); ++i)
    work.classes.colours[i] = colours[i];
  set_colours(work);
  work.learnt = c.input.name;
  std::vector<ClassifySum> sums = classify_sums(work);
  ClassifyRun run{work.slices.size() == 1 ? work.slices[0].name : "all inputs", {}, {}, false};
  std::vector<std::vector<std::int32_t>> labels;
  for (std::size_t s = 0; s < work.slices.size(); ++s) {
    run.roles.push_back(tasks::role_of_labelled(work.classes.codes[s], CellRole::test));
    run.predict.push_back(s);
    const Tensor<double> found = tasks::smoothed_by_head(
        c, work.slices[s].slice, ask_head(c, work.slices[s], work.model, a.task, work.notices));
    add_prediction(sums[s], found, run, s, work.classes.codes[s]);
    labels.push_back(classify_labels(found));
  }
  score_run(work, run, labels, {});
  finish(work, sums);
  work.run_names.push_back(run.name);
  work.heads.push_back(std::move(head));
  write_classify(work);
  return 0;
}

void save_head(const ClassifyWork& work) {
  const ClassifyArguments& a = work.options();
  tasks::Classifier classifier = work.heads.front().classifier;
  std::vector<std::string> names;
  for (std::size_t s = 0; s < work.first_input; ++s) names.push_back(work.slices[s].name);
  const auto classes = static_cast<std::ptrdiff_t>(classifier.classes.size());
  classifier.provenance = {
      {"verb", work.words.verb},
      {"label", a.label},
      {"train", names},
      {"learnt", work.learnt},
      {"cells", work.heads.front().labelled},
      {"program", STOFM_VERSION},
      {"colours", std::vector<std::string>(work.colours.begin(), work.colours.begin() + classes)}};
  write_head(a.save, classifier, a.task.overwrite);
  Console::get().say(concat("head: ", a.save));
}

}  // namespace

int run_classify(const Arguments& arguments, const ClassifyWords& words) {
  ClassifyWork work;
  work.arguments = &arguments;
  work.words = words;
  const ClassifyArguments& a = arguments.classify;
  check_classify(a, words);
  if (!a.head.empty()) return predict_by_head(work);
  if (!a.work.empty()) set_interruption_hint(concat("the same command with --resume goes on from ", a.work));
  open_classify(work);
  if (!a.save.empty()) check_one_output(a.save, a.train, a.task.overwrite);

  const std::string use = a.task.use == "auto" ? usual_heads(work.slices) : a.task.use;
  std::optional<LoadedModel> model;
  if (a.tune != "none" || tasks::use_needs_model(use)) {
    model = load_task_model(a.task);
    work.model = &*model;
  }
  // Classes that can be learnt come first, those of the truth alone after them.
  const std::span<const TaskSlice> labelled =
      work.first_input == 0 ? std::span<const TaskSlice>(work.slices)
                            : std::span<const TaskSlice>(work.slices).first(work.first_input);
  const tasks::SharedClasses learnable = classes_of(labelled, a);
  work.classes = classes_of(work.slices, a, learnable.names);
  set_colours(work);
  for (std::size_t s = 0; s < work.slices.size(); ++s)
    if (labels_of_slice(work.slices[s], a.label) != nullptr && work.classes.unlabelled[s] > 0)
      Console::get().say(concat(work.slices[s].name, ": ", format_count(work.classes.unlabelled[s]), " of ",
                                format_count(work.slices[s].slice.cells), " cells have no label"));

  const std::vector<ClassifyRun> runs = plan_runs(work);
  for (const ClassifyRun& run : runs) check_run(work, run);
  ClassifyLearner learner(a, work.slices, work.model, learnable.names, work.classes, use);
  work.learnt = learner.what();
  std::vector<ClassifySum> sums = classify_sums(work);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const ClassifyRun& run = runs[r];
    if (runs.size() > 1) Console::get().say(concat("[", r + 1, "/", runs.size(), "] ", run.name));
    ClassifyHead head = learner.learn(run.roles, r);
    work.notices.insert(work.notices.end(), head.notices.begin(), head.notices.end());
    std::vector<std::vector<std::int32_t>> labels;
    bool judged = false;
    for (const std::size_t s : run.predict) {
      const Tensor<double> found = learner.ask(head, s);
      add_prediction(sums[s - work.first_input], found, run, s, work.classes.codes[s]);
      labels.push_back(classify_labels(found));
      judged = judged || std::count(run.roles[s].begin(), run.roles[s].end(), CellRole::test) > 0;
    }
    score_run(work, run, labels,
              judged && !a.no_floors ? learner.floors(run.roles, r) : std::vector<ClassifyFloor>());
    work.run_names.push_back(run.name);
    work.heads.push_back(std::move(head));
  }
  finish(work, sums);
  if (!a.save.empty()) save_head(work);
  write_classify(work);
  return 0;
}

}  // namespace stofm::program
