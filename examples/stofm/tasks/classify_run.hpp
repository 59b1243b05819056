// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// `stofm segment` and `stofm annotate`: one flow, two sets of words.

#include <string>
#include <vector>

#include "arguments.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "tasks/classify_learn.hpp"

namespace stofm::program {

/// What the verbs call things.
struct ClassifyWords {
  std::string verb;  ///< "segment"
  std::string key;   ///< "stofm_region"
  std::string one;   ///< "region"
  std::string many;  ///< "regions"
};

/// Scores of one head on cells that it did not learn from, beside the floors.
struct ClassifyScore {
  std::string name;  ///< of the slice, with the part of a split
  tasks::ClassificationScores model;
  std::vector<std::pair<std::string, tasks::ClassificationScores>> floors;
};

/// What one input gets.
struct ClassifyResult {
  std::vector<std::int32_t> labels;  ///< [cells] class, -1: no prediction
  Tensor<float> probabilities;       ///< [cells, classes], NaN without a prediction
  std::vector<double> probability;   ///< [cells] of the label; NaN without
  std::vector<std::uint8_t> sure;    ///< [cells] not below --unassigned-below
};

/// Everything that is known at the end.
struct ClassifyWork {
  const Arguments* arguments = nullptr;
  ClassifyWords words;
  std::vector<TaskSlice> slices;  ///< labelled ones first, then the inputs
  std::size_t first_input = 0;
  const LoadedModel* model = nullptr;
  tasks::SharedClasses classes;
  std::vector<std::string> colours;            ///< "#rrggbb" of each class
  std::string learnt;                          ///< what the head is, in words
  std::vector<ClassifyHead> heads;             ///< one a run
  std::vector<std::string> run_names;          ///< of the heads
  std::vector<ClassifyResult> results;         ///< by input
  std::vector<ClassifyScore> scores;           ///< of runs that had a truth
  std::vector<std::int32_t> truth, predicted;  ///< of all scored cells, run after run
  Notices notices;

  const ClassifyArguments& options() const { return arguments->classify; }
  std::span<const TaskSlice> inputs() const { return std::span(slices).subspan(first_input); }
};

/// Runs the verb. \return exit code \throws Error
int run_classify(const Arguments& arguments, const ClassifyWords& words);

/// Says the scores, writes results, report and summary (classify_output.cpp).
void write_classify(ClassifyWork& work);

}  // namespace stofm::program
