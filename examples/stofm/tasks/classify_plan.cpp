// SPDX-License-Identifier: MIT
#include "tasks/classify_plan.hpp"

#include <algorithm>
#include <numeric>

#include "console.hpp"

namespace stofm::program {

using tasks::CellRole;
using tasks::CellRoles;

std::vector<ClassifyRun> plan_runs(const ClassifyWork& work) {
  const ClassifyArguments& a = work.options();
  const auto& codes = work.classes.codes;
  std::vector<ClassifyRun> runs;
  std::vector<CellRoles> none;
  for (const auto& one : codes) none.emplace_back(one.size(), CellRole::none);
  if (!a.split.empty()) {
    for (std::size_t s = 0; s < codes.size(); ++s)
      for (std::int64_t fold = 0; fold < a.folds; ++fold) {
        ClassifyRun run{concat(work.slices[s].name, a.split == "random" ? ", part " : ", side ", fold + 1),
                        none,
                        {s},
                        true};
        if (a.split == "block") {
          run.roles[s] =
              tasks::hold_out_by_place(work.slices[s].slice.coordinates.view(), codes[s], fold, a.folds);
        } else {
          const auto parts = tasks::stratified_folds(codes[s], a.folds, RandomKey{a.task.geometry.seed, 4});
          run.roles[s] = tasks::role_of_labelled(codes[s], CellRole::train);
          for (std::size_t i = 0; i < parts.size(); ++i)
            if (parts[i] == fold) run.roles[s][i] = CellRole::test;
        }
        runs.push_back(std::move(run));
      }
  } else if (a.leave_one_out) {
    for (std::size_t s = 0; s < codes.size(); ++s)
      runs.push_back({work.slices[s].name, tasks::leave_slice_out(codes, s), {s}, false});
  } else {
    ClassifyRun run{"", none, {}, false};
    for (std::size_t s = 0; s < codes.size(); ++s) {
      const bool input = s >= work.first_input;
      run.roles[s] = tasks::role_of_labelled(codes[s], input ? CellRole::test : CellRole::train);
      if (input) run.predict.push_back(s);
    }
    run.name = run.predict.size() == 1 ? work.slices[run.predict[0]].name : "all inputs";
    runs.push_back(std::move(run));
  }
  for (std::size_t r = 0; r < runs.size(); ++r)
    tasks::keep_some_labels(runs[r].roles, codes, {.share = a.label_share, .per_class = a.labels_per_class},
                            RandomKey{a.task.geometry.seed, 5}.child(r));
  return runs;
}

void check_run(ClassifyWork& work, const ClassifyRun& run) {
  const std::size_t classes = work.classes.names.size();
  std::vector<std::int64_t> train(classes, 0), test(classes, 0);
  std::int64_t learnt = 0;
  for (std::size_t s = 0; s < run.roles.size(); ++s)
    for (std::size_t i = 0; i < run.roles[s].size(); ++i) {
      if (run.roles[s][i] == CellRole::none) continue;
      const auto c = static_cast<std::size_t>(work.classes.codes[s][i]);
      ++(run.roles[s][i] == CellRole::train ? train : test)[c];
      learnt += run.roles[s][i] == CellRole::train;
    }
  const std::string column = concat("obs[", stofm::quoted(work.options().label, 60), "]");
  if (learnt == 0)
    throw DataError({"STOFM-2083", "", column, "no labelled cell to learn from", "labels of two classes",
                     "Check --label and --ignore-labels, or give another slice to --train."});
  if (std::count_if(train.begin(), train.end(), [](std::int64_t n) { return n > 0; }) < 2) {
    const auto only = static_cast<std::size_t>(
        std::find_if(train.begin(), train.end(), [](std::int64_t n) { return n > 0; }) - train.begin());
    throw DataError({"STOFM-2084", "", column,
                     concat("one class only to learn from: ", stofm::quoted(work.classes.names[only], 60)),
                     "at least two", "Add a slice where others are labelled to --train."});
  }
  const std::int64_t judged = std::accumulate(test.begin(), test.end(), std::int64_t{0});
  std::string unknown, unseen;
  for (std::size_t c = 0; c < classes; ++c) {
    if (train[c] == 0 && test[c] > 0)
      unknown += concat(unknown.empty() ? "" : ", ", stofm::quoted(work.classes.names[c], 40));
    if (train[c] > 0 && test[c] == 0 && judged > 0)
      unseen += concat(unseen.empty() ? "" : ", ", stofm::quoted(work.classes.names[c], 40));
  }
  if (!unknown.empty())
    work.notices.push_back(
        {"STOFM-W2050", concat(run.name, ": no label to learn from, so never predicted: ", unknown), 1});
  if (!unseen.empty()) Console::get().detail(concat("  ", run.name, ": no cell of the truth has ", unseen));
}

}  // namespace stofm::program
