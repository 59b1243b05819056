// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Heads on features that stay as they are, as `stofm segment`, `stofm annotate` and the Python package fit
/// them: one alone whose penalty is chosen on cells held out at random (tasks/frozen_head.hpp), or several,
/// or one that is smoothed, by labels held out by place or slice (tasks/pooled_head.hpp).

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/tasks/frozen_head.hpp"
#include "stofm/tasks/pooled_head.hpp"
#include "stofm/tasks/smoothed_probabilities.hpp"

namespace stofm::tasks {

/// Neighbours that smoothing is chosen from where nothing else is said. *Source* ours: each twice the last.
inline const std::vector<std::int64_t>& smoothing_choices() {
  static const std::vector<std::int64_t> counts{0, 5, 10, 20, 40};
  return counts;
}

/// PooledHeadOptions::smoothing for `smooth` neighbours, or for -1: smoothing_choices().
inline std::vector<std::int64_t> smoothing_among(std::int64_t smooth) {
  return smooth < 0 ? smoothing_choices() : std::vector<std::int64_t>{smooth};
}

struct HeadFitOptions {
  ClassWeights class_weights = ClassWeights::balanced;
  std::int64_t smooth = 0;  ///< neighbours to smooth over; -1: chosen among smoothing_choices()
};

/// As fit_pooled_head. With one set of features and `smooth` 0 nothing but the penalty is to be chosen:
/// fit_frozen_head, which needs no places, and no held_out_f1. \throws as these; UsageError (STOFM-4792) for
/// `smooth` below -1 or above most_smoothing
inline PooledHead fit_heads(std::span<const HeadRows> features, std::span<const io::Slice* const> slices,
                            std::span<const std::vector<std::int32_t>> labels, std::int64_t classes,
                            const RandomKey& key, const HeadFitOptions& options = {}) {
  if (options.smooth < -1 || options.smooth > most_smoothing)
    throw UsageError({"STOFM-4792", "", "HeadFitOptions::smooth", concat(options.smooth, " neighbours"),
                      concat("0 to ", most_smoothing, ", or -1: chosen"), "40 is a wide smoothing already."});
  if (features.size() != 1 || options.smooth != 0) {
    PooledHeadOptions pooled;
    pooled.regression.class_weights = options.class_weights;
    pooled.smoothing = smoothing_among(options.smooth);
    return fit_pooled_head(features, slices, labels, classes, key, pooled);
  }
  detail::require_same_count("[fit_heads]", features[0].size(), labels.size(), "matrices and labels");
  const detail::JudgedCells cells = detail::labelled_cells(labels);
  const Tensor<float> rows = detail::labelled_rows(features[0], cells);
  FrozenHeadOptions frozen;
  frozen.regression.class_weights = options.class_weights;
  FrozenHead head = fit_frozen_head(std::as_const(rows).view(), cells.labels, classes, key, frozen);
  return {{std::move(head.model)}, {head.strength}, {1.0}};
}

}  // namespace stofm::tasks
