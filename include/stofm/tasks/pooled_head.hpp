// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Several heads for embeddings that stay as they are, one for each set of features, whose probabilities are
/// mixed. All that is chosen is chosen on labels that were held out by place or by slice
/// (tasks/label_folds.hpp), by predictions for every labelled cell that no head saw in training:
///
///     penalty of each head         least log loss
///     weights of the heads         least log loss of the mixture (tasks/head_weights.hpp)
///     neighbours to smooth over    highest macro F1 of the smoothed mixture; 0 among them
///
/// So features that look at surroundings get the say where regions are wide, the cell itself where they are
/// speckled, and nobody has to know which. *Source* ours; docs/scores.md has what it was measured on.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/head_weights.hpp"
#include "stofm/tasks/label_folds.hpp"
#include "stofm/tasks/label_splits.hpp"
#include "stofm/tasks/logistic_regression.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "stofm/tasks/smoothed_probabilities.hpp"

namespace stofm::tasks {

struct PooledHeadOptions {
  std::vector<double> strengths{0.001, 0.01, 0.1, 1.0};  ///< LogisticRegressionOptions::c; one: not chosen
  std::vector<std::int64_t> smoothing{0};                ///< neighbours to choose from, ascending
  std::int64_t choosing_cells = 4000;  ///< about so many are learnt from while choosing; all in the end
  LogisticRegressionOptions regression{.tolerance = 1e-5};
};

struct PooledHead {
  std::vector<LogisticRegression> heads;  ///< by set of features; without features where the weight is 0
  std::vector<double> strengths;          ///< by head
  std::vector<double> weights;            ///< by head, sum 1
  std::int64_t smooth = 0;                ///< neighbours
  double held_out_f1 = 0;                 ///< macro F1 with all of this; 0 where nothing was held out
  bool by_slice = false;                  ///< what was held out: a slice at a time, else tiles
};

/// A set of features: by slice [cells, width].
using HeadRows = std::span<const Tensor<float>>;

/// Fits a head to each of `features` for the cells with a label (`labels`, by slice [cells], -1: none). While
/// choosing, strengths are scaled by the cells of the whole over those at hand. A cell whose class has no
/// label outside its part is not judged; where none is, heads weigh the same, the largest strength up to 0.1
/// is taken and the first smoothing. Of equals the first wins. \throws as fit_logistic_regression; ShapeError
/// (STOFM-4700); UsageError for no features or strengths, or nothing to smooth over (4792). *Cost* for each
/// head parts times strengths fits of at most choosing_cells cells and one of all; memory that of the
/// labelled rows of a head and 8 classes bytes a cell and head. *Deterministic* yes, any thread count.
STOFM_INLINE PooledHead fit_pooled_head(std::span<const HeadRows> features,
                                        std::span<const io::Slice* const> slices,
                                        std::span<const std::vector<std::int32_t>> labels,
                                        std::int64_t classes, const RandomKey& key,
                                        const PooledHeadOptions& options = {});

namespace detail {

/// Labelled cells of all slices, one below the other.
struct JudgedCells {
  std::vector<std::pair<std::size_t, std::int64_t>> place;  ///< slice and cell
  std::vector<std::int32_t> labels, fold, judged;           ///< judged: the label, -1 where it can't be
  std::vector<std::int32_t> learnt;  ///< the label, -1 where the cell is not learnt from while choosing
  std::int32_t folds = 0;

  std::vector<std::int32_t> labels_outside(std::int32_t part) const {
    std::vector<std::int32_t> kept = learnt;
    for (std::size_t i = 0; i < kept.size(); ++i)
      if (fold[i] == part) kept[i] = -1;
    return kept;
  }
};

/// Their places and labels; no parts yet.
inline JudgedCells labelled_cells(std::span<const std::vector<std::int32_t>> labels) {
  JudgedCells cells;
  for (std::size_t s = 0; s < labels.size(); ++s)
    for (std::size_t i = 0; i < labels[s].size(); ++i)
      if (labels[s][i] >= 0) {
        cells.place.emplace_back(s, static_cast<std::int64_t>(i));
        cells.labels.push_back(labels[s][i]);
      }
  return cells;
}

/// Their rows, one below the other.
inline Tensor<float> labelled_rows(HeadRows rows, const JudgedCells& cells) {
  const std::int64_t width = rows.empty() ? 0 : rows[0].dim(1);
  Tensor<float> joined({static_cast<std::int64_t>(cells.place.size()), width});
  for (std::size_t i = 0; i < cells.place.size(); ++i) {
    const auto& [s, cell] = cells.place[i];
    std::copy_n(rows[s].data() + cell * width, width, joined.data() + static_cast<std::int64_t>(i) * width);
  }
  return joined;
}

}  // namespace detail

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm::tasks::detail {

inline JudgedCells judged_cells(std::span<const std::vector<std::int32_t>> labels, const LabelFolds& folds,
                                std::int64_t choosing, const RandomKey& key) {
  JudgedCells cells = labelled_cells(labels);
  cells.folds = folds.count;
  for (const auto& [s, i] : cells.place) cells.fold.push_back(folds.of[s][static_cast<std::size_t>(i)]);
  std::vector<CellRoles> roles{role_of_labelled(cells.labels, CellRole::train)};
  const double share =
      static_cast<double>(choosing) / static_cast<double>((std::max<std::size_t>)(cells.labels.size(), 1));
  if (share < 1) {
    const std::vector<std::vector<std::int32_t>> all{cells.labels};
    keep_some_labels(roles, all, {.share = share}, key.child(1));
  }
  cells.learnt = labels_with(cells.labels, roles[0], CellRole::train);
  cells.judged.assign(cells.labels.size(), -1);
  for (std::int32_t part = 0; part < cells.folds; ++part) {
    std::vector<std::int32_t> known = cells.labels_outside(part);
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    if (std::count_if(known.begin(), known.end(), [](std::int32_t l) { return l >= 0; }) < 2) continue;
    for (std::size_t i = 0; i < cells.labels.size(); ++i)
      if (cells.fold[i] == part && std::binary_search(known.begin(), known.end(), cells.labels[i]))
        cells.judged[i] = cells.labels[i];
  }
  return cells;
}

/// Probabilities [N, classes] of each cell by a head that learnt from the other parts; 0 where none could.
inline Tensor<double> out_of_fold(TensorView<const float> rows, const JudgedCells& cells,
                                  std::int64_t classes, LogisticRegressionOptions regression) {
  Tensor<double> result = Tensor<double>::zeros({rows.dim(0), classes});
  const double strength = regression.c;
  for (std::int32_t part = 0; part < cells.folds; ++part) {
    std::vector<std::int64_t> held;
    bool judged = false;
    for (std::size_t i = 0; i < cells.fold.size(); ++i)
      if (cells.fold[i] == part) {
        held.push_back(static_cast<std::int64_t>(i));
        judged = judged || cells.judged[i] >= 0;
      }
    if (!judged) continue;
    const std::vector<std::int32_t> labels = cells.labels_outside(part);
    const auto count = static_cast<double>(
        std::count_if(labels.begin(), labels.end(), [](std::int32_t label) { return label >= 0; }));
    regression.c = strength * static_cast<double>(cells.labels.size()) / count;
    const LogisticRegression model = fit_logistic_regression(rows, labels, classes, regression);
    Tensor<float> asked({static_cast<std::int64_t>(held.size()), rows.dim(1)});
    for (std::size_t i = 0; i < held.size(); ++i)
      std::copy_n(rows.row(held[i]), rows.dim(1), asked.data() + static_cast<std::int64_t>(i) * rows.dim(1));
    const Tensor<double> said = predict_probabilities(model, std::as_const(asked).view());
    for (std::size_t i = 0; i < held.size(); ++i)
      std::copy_n(said.data() + static_cast<std::int64_t>(i) * classes, classes,
                  result.data() + held[i] * classes);
  }
  return result;
}

/// How many neighbours to smooth the predictions for held-out cells over.
inline void choose_smoothing(const Tensor<double>& mixed, std::span<const io::Slice* const> slices,
                             const JudgedCells& cells, std::int64_t classes,
                             std::span<const std::int64_t> counts, PooledHead& head) {
  std::vector<std::vector<std::int32_t>> found(counts.size());
  std::vector<std::int32_t> truth;
  for (std::size_t s = 0, first = 0, last = 0; s < slices.size(); ++s, first = last) {
    while (last < cells.place.size() && cells.place[last].first == s) ++last;
    if (first == last) continue;
    Tensor<double> map =
        Tensor<double>::full({slices[s]->cells, classes}, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = first; i < last; ++i)
      if (cells.judged[i] >= 0)
        std::copy_n(mixed.data() + static_cast<std::int64_t>(i) * classes, classes,
                    map.data() + cells.place[i].second * classes);
    const auto smooth = smoothed_probabilities(*slices[s], std::as_const(map).view(), counts);
    for (std::size_t k = 0; k < counts.size(); ++k) {
      const std::vector<std::int32_t> labels = most_probable(smooth[k].view());
      for (std::size_t i = first; i < last; ++i)
        if (cells.judged[i] >= 0) found[k].push_back(labels[static_cast<std::size_t>(cells.place[i].second)]);
    }
    for (std::size_t i = first; i < last; ++i)
      if (cells.judged[i] >= 0) truth.push_back(cells.judged[i]);
  }
  double best = -1;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const double f1 = classification_scores(truth, found[k], classes).macro_f1;
    if (f1 <= best) continue;
    best = f1;
    head.smooth = counts[k];
  }
  head.held_out_f1 = best;
}

}  // namespace stofm::tasks::detail

namespace stofm {

STOFM_INLINE auto tasks::fit_pooled_head(std::span<const HeadRows> features,
                                         std::span<const io::Slice* const> slices,
                                         std::span<const std::vector<std::int32_t>> labels,
                                         std::int64_t classes, const RandomKey& key,
                                         const PooledHeadOptions& options) -> PooledHead {
  constexpr const char* op = "[fit_pooled_head]";
  if (features.empty() || options.strengths.empty() || options.smoothing.empty())
    throw UsageError({"STOFM-4792", "", op, "no features, no strength or nothing to smooth over",
                      "at least one of each",
                      "Give features, LogisticRegressionOptions::c, and 0 neighbours."});
  detail::require_same_count(op, slices.size(), labels.size(), "slices with and without labels");
  std::vector<TensorView<const double>> xy;
  for (const io::Slice* slice : slices) xy.push_back(slice->coordinates.view());
  const LabelFolds folds = fold_labels(xy, labels);
  const detail::JudgedCells cells = detail::judged_cells(labels, folds, options.choosing_cells, key);
  const bool judged =
      std::any_of(cells.judged.begin(), cells.judged.end(), [](std::int32_t label) { return label >= 0; });
  PooledHead head;
  head.by_slice = folds.by_slice;
  head.smooth = options.smoothing.front();
  head.weights.assign(features.size(), 1.0 / static_cast<double>(features.size()));
  LogisticRegressionOptions regression = options.regression;
  double usual = options.strengths.front();
  for (const double strength : options.strengths)
    if (strength <= 0.1 && strength > usual) usual = strength;
  const bool choose_strength = judged && options.strengths.size() > 1,
             choose_weights = judged && features.size() > 1,
             choose_neighbours = judged && options.smoothing.size() > 1;
  std::vector<Tensor<double>> said(features.size());
  for (std::size_t m = 0; m < features.size(); ++m) {
    detail::require_same_count(op, features[m].size(), slices.size(), "slices and matrices");
    head.strengths.push_back(choose_strength || options.strengths.size() == 1 ? options.strengths.front()
                                                                              : usual);
    if (!choose_strength && !choose_weights && !choose_neighbours) continue;
    const Tensor<float> rows = detail::labelled_rows(features[m], cells);
    double least = std::numeric_limits<double>::infinity();
    for (const double strength :
         choose_strength ? options.strengths : std::vector<double>{head.strengths.back()}) {
      regression.c = strength;
      Tensor<double> predicted = detail::out_of_fold(std::as_const(rows).view(), cells, classes, regression);
      const double loss = log_loss(std::as_const(predicted).view(), cells.judged, regression.class_weights);
      if (loss >= least) continue;
      least = loss;
      head.strengths.back() = strength;
      said[m] = std::move(predicted);
    }
  }
  if (choose_weights) head.weights = head_weights(said, cells.judged, regression.class_weights);
  if (said.front().numel() > 0)
    detail::choose_smoothing(mixed_probabilities(said, head.weights), slices, cells, classes,
                             options.smoothing, head);
  said.clear();
  for (std::size_t m = 0; m < features.size(); ++m) {
    LogisticRegression& fitted = head.heads.emplace_back();
    if (head.weights[m] == 0) continue;
    regression.c = head.strengths[m];
    const Tensor<float> rows = detail::labelled_rows(features[m], cells);
    fitted = fit_logistic_regression(std::as_const(rows).view(), cells.labels, classes, regression);
  }
  return head;
}

}  // namespace stofm
#endif
