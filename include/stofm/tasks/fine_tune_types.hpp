// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Fine-tuning: a head and the SE(2) Transformer, trained together to tell the classes of labelled cells.
///
///     loss of a step = sum over labelled cells of its pieces of w_class (-log p_label) / (weights an average
///     step holds)
///
/// Cells without a label carry no loss but are seen as surroundings, so a few labels are enough to begin. A
/// step is one piece of a slice (or several), each on a tape of its own; the pieces of a pass are cut anew
/// along axes that are turned at random, so that a small slice is not the same few pieces in every epoch.
/// AdamW, cosine schedule with warm-up, clipped gradients: train/training_loop.hpp. After each epoch the
/// validation cells are judged (tasks/fine_tune_split.hpp), and the weights of the best epoch are returned:
/// the last of those whose macro F1 is within one standard error of the highest. The head begins as the
/// logistic regression of the frozen states (tasks/frozen_head.hpp), so that tuning starts where that ends.
/// Whether it gets further is not said: with the bundled weights and one slice of a thousand cells to learn
/// from it does not (docs/segment.md). Everything is drawn by (seed, pass, piece): the same bits at any
/// number of threads and after a resume. *Source* our choice; the paper fine-tunes on labelled slices and
/// does not say how.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/tasks/classifier.hpp"
#include "stofm/tasks/head_file.hpp"

namespace stofm::tasks {

/// A slice with the labels of its cells.
struct LabelledSlice {
  const train::PreparedSlice* slice = nullptr;  ///< must outlive the training
  std::vector<std::int32_t> labels;             ///< [cells] in [0, classes), -1: no label
};

/// Which part of the SE(2) Transformer is trained; the head always is. The cell encoder stays as it is.
enum class TuneMode {
  all,   ///< everything
  last,  ///< the last layers only
  none,  ///< nothing: states are computed once, the head alone is trained
};

/// After each epoch.
struct FineTuneEpoch {
  std::int64_t epoch = 0;  ///< from 1
  double loss = 0;         ///< mean training loss of the epoch
  double learning_rate = 0;
  /// Of the validation cells; NaN without.
  double validation_loss = std::numeric_limits<double>::quiet_NaN();
  double validation_accuracy = std::numeric_limits<double>::quiet_NaN();
  double validation_macro_f1 = std::numeric_limits<double>::quiet_NaN();
};

struct FineTuneOptions {
  TuneMode tune = TuneMode::all;
  std::int64_t layers = 1;  ///< of TuneMode::last
  HeadOptions head{};
  ClassWeights class_weights = ClassWeights::balanced;
  std::int64_t epochs = 20;
  std::int64_t batch = 1;         ///< pieces a step
  std::int64_t least_steps = 12;  ///< of an epoch: small slices are passed through several times
  std::int64_t split = 400;       ///< cells of a training piece, about; smaller: more steps for the same work
  bool cut_anew = true;           ///< pieces of every pass are cut along axes turned at random
  double learning_rate = 3e-4;    ///< highest; cosine to 0 after a warm-up over a tenth of the steps
  double weight_decay = 0.05;
  double clip_norm = 1.0;     ///< 0: no clipping
  double validation = 0.15;   ///< share of the labelled cells; 0: none, the last epoch is taken
  std::int64_t patience = 0;  ///< epochs without a better one before it stops; 0: all epochs
  std::uint64_t seed = 0;
  ClassifierInput input{};  ///< what the slices were prepared with; stored with the head
  /// Directory for a checkpoint after each epoch; empty: none are written.
  std::filesystem::path checkpoints{};
  bool resume = false;  ///< go on from its newest checkpoint, if there is one
  std::function<void(const FineTuneEpoch&)> after_epoch{};  ///< called by the thread that called the library

  /// \throws UsageError STOFM-4740 for a value out of range.
  void validate() const;
};

struct FineTuneResult {
  Classifier classifier;
  std::vector<FineTuneEpoch> epochs;  ///< those before a resume included
  std::int64_t best_epoch = 0;        ///< whose weights the classifier has
  std::int64_t labelled = 0;          ///< cells with a label
  std::int64_t validation_cells = 0;  ///< of these, judged and not trained on
  std::int64_t steps = 0;
  bool stopped_early = false;        ///< by `patience`
  std::vector<double> class_weight;  ///< [classes]; 0 for classes without labels
  Notices notices;                   ///< STOFM-W4740 no validation, W4741 classes without labels
};

/// Fine-tunes. `model` needs an SE(2) Transformer; the slices were prepared with its cell encoder
/// (train::prepare_slice, tasks::prepare_rows) or with what `options.input` says.
/// \param classes names; \param progress hears of "fine-tuning" in steps and may stop it: then the next call
/// with `resume` goes on from the last checkpoint
/// \throws UsageError STOFM-4742 without an SE(2) Transformer, 4740 options, 4743 a checkpoint directory with
/// a run in it; ShapeError 4741 labels of another number, 4749 features of another width; DataError 4702 a
/// label out of range, 4701 no labels, 4710 labels of one class only; as run_training, CheckpointDirectory
/// and check_same_run; Interrupted. *Cost* about 3 times that of embedding per pass; a minute for 5,000 cells
/// and 30 epochs with a small model on two cores. *Deterministic* yes, any thread count, also resumed.
STOFM_INLINE FineTuneResult fine_tune_classifier(const pipeline::Model& model,
                                                 std::span<const LabelledSlice> slices,
                                                 const std::vector<std::string>& classes,
                                                 const FineTuneOptions& options = {},
                                                 const pipeline::Progress& progress = {});

/// Rows of a slice with the labels of its cells.
struct LabelledRows {
  TensorView<const float> rows;      ///< [cells, features]
  std::vector<std::int32_t> labels;  ///< [cells], -1: no label
};

/// The quick way: logistic regression on features that stay as they are. \param identity of the model that
/// the rows hang on (`model_identity`), or empty \throws as fit_logistic_regression over the cells of all
/// slices together. *Deterministic* yes, any thread count.
inline Classifier fit_probe(std::span<const LabelledRows> slices, const std::vector<std::string>& classes,
                            const ClassifierInput& input, const std::string& identity = {},
                            const LogisticRegressionOptions& options = {}) {
  Classifier classifier;
  std::int64_t cells = 0, width = slices.empty() ? 0 : slices.front().rows.dim(1);
  for (const LabelledRows& slice : slices) {
    detail::require_rows("[fit_probe]", slice.rows);
    detail::require_same_count("[fit_probe]", static_cast<std::size_t>(slice.rows.dim(0)),
                               slice.labels.size(), "rows and labels");
    if (slice.rows.dim(1) != width)
      throw ShapeError({"STOFM-4749", "", "[fit_probe] rows", concat(slice.rows.dim(1), " columns"),
                        concat(width, ", as the slice before"), "Give the same features of every slice."});
    cells += slice.rows.dim(0);
  }
  detail::require_some("[fit_probe]", static_cast<std::size_t>(cells));
  Tensor<float> rows({cells, width});
  std::vector<std::int32_t> labels;
  float* out = rows.data();
  for (const LabelledRows& slice : slices) {
    for (std::int64_t i = 0; i < slice.rows.dim(0); ++i, out += width)
      std::copy_n(slice.rows.row(i), width, out);
    labels.insert(labels.end(), slice.labels.begin(), slice.labels.end());
  }
  classifier.kind = ClassifierKind::logistic;
  classifier.classes = classes;
  classifier.input = input;
  classifier.model_identity = identity;
  classifier.logistic = fit_logistic_regression(std::as_const(rows).view(), labels,
                                                static_cast<std::int64_t>(classes.size()), options);
  classifier.present = classifier.logistic.present;
  return classifier;
}

inline void FineTuneOptions::validate() const {
  head.validate();
  const bool counts = epochs >= 1 && batch >= 1 && least_steps >= 1 && split >= 1 && patience >= 0 &&
                      (tune != TuneMode::last || layers >= 1);
  const bool numbers = learning_rate > 0 && std::isfinite(learning_rate) && weight_decay >= 0 &&
                       std::isfinite(weight_decay) && clip_norm >= 0 && std::isfinite(clip_norm) &&
                       validation >= 0 && validation <= 0.5;
  if (!counts || !numbers)
    throw UsageError(
        {"STOFM-4740", "", "fine-tuning",
         concat(epochs, " epochs of at least ", least_steps, " steps of ", batch, " pieces of ", split,
                " cells, ", layers, " layers, patience ", patience, ", rate ", learning_rate, ", decay ",
                weight_decay, ", clip ", clip_norm, ", validation ", validation),
         "counts of at least 1, a finite rate above 0, a validation share of 0 to 0.5",
         "Check the options."});
}

}  // namespace stofm::tasks
