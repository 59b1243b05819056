// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Heads of `stofm segment` and `stofm annotate`, learnt from labelled cells and asked about whole slices.
/// Features of all slices are made once, whatever the number of heads.

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "model_bundle.hpp"
#include "stofm/tasks/classifier.hpp"
#include "stofm/tasks/label_splits.hpp"
#include "stofm/tasks/pooled_head.hpp"
#include "stofm/tasks/shared_classes.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {

/// After a pass of fine-tuning.
struct ClassifyEpoch {
  std::int64_t epoch = 0;
  double loss = 0, held_out_f1 = 0;  ///< F1: NaN where nothing was held out
};

/// A head, and how it was learnt.
struct ClassifyHead {
  tasks::Classifier classifier;
  std::vector<ClassifyEpoch> epochs;  ///< of fine-tuning
  std::int64_t best_epoch = 0;
  std::int64_t labelled = 0;    ///< cells it learnt from, validation included
  std::int64_t validation = 0;  ///< of these, cells that chose the epoch
  std::vector<std::string> uses;  ///< features of each of the frozen heads
  tasks::PooledHead frozen;       ///< how these were chosen; their coefficients stand in the classifier
  Notices notices;
};

/// A head from a file, and to a file. \throws Error
tasks::Classifier read_head(const std::string& path);
void write_head(const std::string& path, const tasks::Classifier& head, bool overwrite);

/// Refuses a head that was learnt with other weights. \throws UsageError (STOFM-4747)
void check_head_model(const tasks::Classifier& head, const LoadedModel& model);

/// Probabilities [cells, classes of the head] of a slice, not smoothed; an embedding of the file is used
/// (tasks::rows_for_head).
Tensor<double> ask_head(const tasks::Classifier& head, const TaskSlice& slice, const LoadedModel* model,
                        const TaskArguments& task, Notices& notices);

/// What --use auto stands for.
std::string usual_heads(std::span<const TaskSlice> slices);

/// A floor: what logistic regression makes of plain features with the same labels.
struct ClassifyFloor {
  std::string use;                        ///< "genes", "pca", "pca+nbr"
  std::string name;                       ///< "30 principal components of 166 genes"
  std::vector<std::int32_t> predictions;  ///< of the cells with the role `test`, slice after slice
};

class ClassifyLearner {
 public:
  /// What it is given must outlive it. \param model may be null where nothing needs one
  /// \param names classes that heads know, the first of `classes` \param use features of the frozen heads:
  /// --use, "A+B" or "A,B+C"
  ClassifyLearner(const ClassifyArguments& arguments, std::span<const TaskSlice> slices,
                  const LoadedModel* model, std::vector<std::string> names, tasks::SharedClasses classes,
                  std::string use);

  /// A head from the labels of the cells with the role `train` [slices][cells]. \param number keeps the runs
  /// of a command apart (checkpoints, random numbers) \throws Error
  ClassifyHead learn(const std::vector<tasks::CellRoles>& roles, std::uint64_t number);

  /// Probabilities [cells, classes] of all cells of a slice. \throws Error
  Tensor<double> ask(const ClassifyHead& head, std::size_t slice);

  /// The floors for the same labels. Genes are left out where there are more than 4,000.
  std::vector<ClassifyFloor> floors(const std::vector<tasks::CellRoles>& roles, std::uint64_t number);

  /// What is learnt, in words.
  std::string what() const;

 private:
  const tasks::SliceFeatures& features(const std::string& use, bool plain = false);
  const std::vector<train::PreparedSlice>& prepared();
  std::vector<Tensor<float>> frozen_rows(const std::string& use);
  tasks::ClassifierInput input(const std::string& use);
  void learn_frozen(const std::vector<std::vector<std::int32_t>>& labels, std::uint64_t number,
                    ClassifyHead& head);
  pipeline::Model start_model() const;
  void decide_to_centre();

  const ClassifyArguments& arguments_;
  std::span<const TaskSlice> slices_;
  const LoadedModel* model_;
  std::vector<std::string> names_;
  tasks::SharedClasses classes_;
  std::string use_;
  std::map<std::string, tasks::SliceFeatures> features_;
  std::vector<train::PreparedSlice> prepared_;
  std::map<std::string, std::vector<Tensor<float>>> asked_;  ///< rows of the frozen heads, by their features
  bool centred_ = false;              ///< --center, or panels that differ
  std::vector<double> centre_;        ///< what cell features are centred to, with --center
};

}  // namespace stofm::program
