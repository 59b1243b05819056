// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How well predicted classes agree with true ones: confusion matrix, accuracy, precision, recall, F1.
///
/// Definitions and treatment of absent classes are those of scikit-learn (`precision_recall_fscore_support`
/// with zero_division = 0, `balanced_accuracy_score`):
/// - a class that occurs on neither side is left out of every mean;
/// - a class that occurs on one side only has precision, recall and F1 of 0 and counts in the macro means;
/// - balanced accuracy is the mean recall over the classes that occur in the truth.

#include <cstdint>
#include <span>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// Cells by true class (rows) and predicted class (columns).
struct ConfusionMatrix {
  std::int64_t classes = 0;
  std::vector<std::int64_t> counts;  ///< [classes, classes]

  std::int64_t at(std::int64_t truth, std::int64_t predicted) const {
    return counts[static_cast<std::size_t>(truth * classes + predicted)];
  }
};

/// Counts of `truth` against `predicted` [N each], labels in [0, classes).
/// \throws ShapeError for other lengths (STOFM-4700), DataError for no cells (4701) or a label out of range
/// (4702). *Cost* O(N + classes^2). Matrices of several slices may be added entry by entry.
inline ConfusionMatrix confusion_matrix(std::span<const std::int32_t> truth,
                                        std::span<const std::int32_t> predicted, std::int64_t classes) {
  constexpr const char* op = "[confusion_matrix]";
  detail::require_same_count(op, truth.size(), predicted.size(), "labels");
  detail::require_some(op, truth.size());
  detail::require_labels(op, truth, (std::max<std::int64_t>)(classes, 0));
  detail::require_labels(op, predicted, (std::max<std::int64_t>)(classes, 0));
  ConfusionMatrix matrix;
  matrix.classes = classes;
  matrix.counts.assign(static_cast<std::size_t>(checked_mul(classes, classes, "confusion matrix")), 0);
  for (std::size_t i = 0; i < truth.size(); ++i)
    ++matrix.counts[static_cast<std::size_t>(truth[i] * classes + predicted[i])];
  return matrix;
}

/// Figures of one class; 0 where their denominator is 0.
struct ClassScores {
  std::int64_t support = 0;    ///< cells of this class in the truth
  std::int64_t predicted = 0;  ///< cells that were given this class
  double precision = 0;        ///< of those predicted, the share that is right
  double recall = 0;           ///< of those in the truth, the share that was found
  double f1 = 0;               ///< 2 right / (support + predicted)

  bool occurs() const { return support > 0 || predicted > 0; }
};

/// Figures of a whole prediction.
struct ClassificationScores {
  std::int64_t cells = 0;
  double accuracy = 0;
  double balanced_accuracy = 0;  ///< mean recall over classes of the truth
  double macro_precision = 0;    ///< macro: mean over classes that occur on either side
  double macro_recall = 0;
  double macro_f1 = 0;
  double weighted_f1 = 0;             ///< mean over classes, weighed by support
  std::vector<ClassScores> by_class;  ///< [classes], also those that occur on neither side
};

/// \throws DataError STOFM-4701 for a matrix without cells. *Cost* O(classes^2).
inline ClassificationScores classification_scores(const ConfusionMatrix& matrix) {
  ClassificationScores scores;
  scores.by_class.resize(static_cast<std::size_t>(matrix.classes));
  for (std::int64_t t = 0; t < matrix.classes; ++t)
    for (std::int64_t p = 0; p < matrix.classes; ++p) {
      const std::int64_t count = matrix.at(t, p);
      scores.by_class[static_cast<std::size_t>(t)].support += count;
      scores.by_class[static_cast<std::size_t>(p)].predicted += count;
      scores.cells += count;
    }
  detail::require_some("[classification_scores]", static_cast<std::size_t>(scores.cells));
  const auto ratio = [](std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
  };
  std::int64_t right = 0, occurring = 0, in_truth = 0;
  for (std::int64_t c = 0; c < matrix.classes; ++c) {
    ClassScores& s = scores.by_class[static_cast<std::size_t>(c)];
    const std::int64_t hits = matrix.at(c, c);
    right += hits;
    s.precision = ratio(hits, s.predicted);
    s.recall = ratio(hits, s.support);
    s.f1 = ratio(2 * hits, s.support + s.predicted);
    scores.weighted_f1 += s.f1 * static_cast<double>(s.support);
    if (s.support > 0) {
      ++in_truth;
      scores.balanced_accuracy += s.recall;
    }
    if (s.occurs()) {
      ++occurring;
      scores.macro_precision += s.precision;
      scores.macro_recall += s.recall;
      scores.macro_f1 += s.f1;
    }
  }
  scores.accuracy = ratio(right, scores.cells);
  scores.weighted_f1 /= static_cast<double>(scores.cells);
  scores.balanced_accuracy /= static_cast<double>(in_truth);
  scores.macro_precision /= static_cast<double>(occurring);
  scores.macro_recall /= static_cast<double>(occurring);
  scores.macro_f1 /= static_cast<double>(occurring);
  return scores;
}

/// The same from labels. \throws as confusion_matrix.
inline ClassificationScores classification_scores(std::span<const std::int32_t> truth,
                                                  std::span<const std::int32_t> predicted,
                                                  std::int64_t classes) {
  return classification_scores(confusion_matrix(truth, predicted, classes));
}

}  // namespace stofm::tasks
