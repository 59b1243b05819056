// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Labels of fine-tuning: checked, numbered, weighed, and parted into those that train and those that judge.

#include <string>
#include <vector>

#include "stofm/tasks/fine_tune_split.hpp"
#include "stofm/tasks/fine_tune_types.hpp"

namespace stofm::tasks::detail {

/// Labels as training sees them.
struct FineTuneLabels {
  std::vector<std::int32_t> present;                  ///< classes with labels, ascending
  std::vector<std::vector<std::int32_t>> target;      ///< by slice: [cells] number within `present`, -1: none
  std::vector<std::vector<std::int32_t>> validation;  ///< the same of validation cells
  std::vector<double> weight;                         ///< [present]
  double total = 0;                                   ///< weights of all training cells
  std::int64_t labelled = 0, judged = 0;
  Notices notices;
};

/// Checks labels, numbers the classes that occur, and takes validation cells away.
inline FineTuneLabels fine_tune_labels(std::span<const LabelledSlice> slices,
                                       const std::vector<std::string>& classes,
                                       const FineTuneOptions& options) {
  constexpr const char* op = "[fine_tune_classifier]";
  const auto count = static_cast<std::int64_t>(classes.size());
  FineTuneLabels labels;
  std::vector<std::int64_t> cells(classes.size(), 0);
  for (const LabelledSlice& slice : slices) {
    if (static_cast<std::int64_t>(slice.labels.size()) != slice.slice->cells())
      throw ShapeError({"STOFM-4741", slice.slice->name, "labels", concat(slice.labels.size()),
                        concat("one for each of ", slice.slice->cells(), " cells"),
                        "Give -1 to cells without a label."});
    for (std::size_t i = 0; i < slice.labels.size(); ++i) {
      const std::int32_t label = slice.labels[i];
      if (label == -1) continue;
      if (label < 0 || label >= count)
        throw DataError({"STOFM-4702", slice.slice->name, concat(op, " cell ", i), concat("label ", label),
                         concat("a label in [0, ", count, "), or -1 for none"),
                         "Number the classes from 0."});
      ++cells[static_cast<std::size_t>(label)];
      ++labels.labelled;
    }
  }
  require_some(op, static_cast<std::size_t>(labels.labelled));
  std::vector<std::int32_t> number(classes.size(), -1);
  std::string without;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (cells[c] > 0) {
      number[c] = static_cast<std::int32_t>(labels.present.size());
      labels.present.push_back(static_cast<std::int32_t>(c));
    } else {
      without += (without.empty() ? "" : ", ") + classes[c];
    }
  }
  if (labels.present.size() < 2)
    throw DataError(
        {"STOFM-4710", "", op,
         concat("labels of class ", classes[static_cast<std::size_t>(labels.present[0])], " only"),
         "cells of at least two classes", "Add labelled cells of another class."});
  if (!without.empty())
    labels.notices.push_back({"STOFM-W4741", "classes without a labelled cell, never predicted: " + without,
                              count - static_cast<std::int64_t>(labels.present.size())});

  std::vector<std::int64_t> trained(labels.present.size(), 0);
  for (std::size_t s = 0; s < slices.size(); ++s) {
    const auto marks = validation_cells(
        *slices[s].slice, slices[s].labels, count, options.validation,
        RandomKey{.seed = options.seed, .stream = 0x76616c}.child(static_cast<std::uint64_t>(s)));
    labels.target.emplace_back(slices[s].labels.size(), -1);
    labels.validation.emplace_back(slices[s].labels.size(), -1);
    for (std::size_t i = 0; i < slices[s].labels.size(); ++i) {
      if (slices[s].labels[i] < 0) continue;
      const std::int32_t c = number[static_cast<std::size_t>(slices[s].labels[i])];
      (marks[i] != 0 ? labels.validation : labels.target).back()[i] = c;
      labels.judged += marks[i];
      trained[static_cast<std::size_t>(c)] += marks[i] == 0;
    }
  }
  const std::int64_t trained_cells = labels.labelled - labels.judged;
  for (const std::int64_t n : trained) {
    const auto classes_here = static_cast<double>(trained.size());
    labels.weight.push_back(options.class_weights == ClassWeights::balanced
                                ? static_cast<double>(trained_cells) / (classes_here * static_cast<double>(n))
                                : 1.0);
    labels.total += labels.weight.back() * static_cast<double>(n);
  }
  if (options.validation > 0 && labels.judged == 0)
    labels.notices.push_back(
        {"STOFM-W4740",
         concat("no class has ", validated_class_cells,
                " labelled cells in a slice: nothing is left to choose an epoch by, the last one is taken"),
         labels.labelled});
  return labels;
}

}  // namespace stofm::tasks::detail
