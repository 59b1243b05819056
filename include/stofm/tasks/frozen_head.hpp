// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The head for an embedding that stays as it is: logistic regression whose penalty is chosen on cells held
/// out of the training part. The quick mode of `segment` and `annotate`, and the bar for everything else.

#include <cstdint>
#include <span>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/label_splits.hpp"
#include "stofm/tasks/logistic_regression.hpp"

namespace stofm::tasks {

struct FrozenHeadOptions {
  std::vector<double> strengths{0.001, 0.01, 0.1, 1.0};  ///< LogisticRegressionOptions::c; one: not chosen
  double held_out = 0.2;                                 ///< share of the labelled cells that choose
  std::int64_t choosing_cells = 4000;  ///< about so many are enough to choose; all of them are fitted to
  LogisticRegressionOptions regression{.tolerance = 1e-5};
};

struct FrozenHead {
  LogisticRegression model;  ///< fitted to all labelled cells
  double strength = 0;       ///< that was chosen
  double held_out_f1 = 0;    ///< macro F1 there with it; 0 where nothing was held out
};

/// Fits `rows` [N, C] to `labels` [N], -1: not used. While choosing, the strength is scaled by the cells of
/// the whole over those at hand, so that it weighs the same against the loss. Of equals the first in the list
/// wins. Where the classes are too small to hold a cell out (fewer than 3 each) the largest strength up to
/// 0.1 is taken. \throws as fit_logistic_regression; UsageError (STOFM-4792) for no strength. *Cost* that of
/// one fit more than there are strengths. *Deterministic* yes, any thread count.
STOFM_INLINE FrozenHead fit_frozen_head(TensorView<const float> rows, std::span<const std::int32_t> labels,
                                        std::int64_t classes, const RandomKey& key,
                                        const FrozenHeadOptions& options = {});

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::fit_frozen_head(TensorView<const float> rows, std::span<const std::int32_t> labels,
                                         std::int64_t classes, const RandomKey& key,
                                         const FrozenHeadOptions& options) -> FrozenHead {
  if (options.strengths.empty())
    throw UsageError({"STOFM-4792", "", "[fit_frozen_head]", "no strength", "at least one",
                      "Give LogisticRegressionOptions::c to try."});
  FrozenHead head;
  LogisticRegressionOptions regression = options.regression;
  head.strength = options.strengths.front();
  for (const double strength : options.strengths)
    if (strength <= 0.1 && strength > head.strength) head.strength = strength;
  if (options.strengths.size() > 1) {
    const std::vector<std::vector<std::int32_t>> all{{labels.begin(), labels.end()}};
    std::vector<CellRoles> few{role_of_labelled(labels, CellRole::train)};
    const auto labelled = static_cast<double>(std::count(few[0].begin(), few[0].end(), CellRole::train));
    const double share = static_cast<double>(options.choosing_cells) / (std::max)(labelled, 1.0);
    if (share < 1) keep_some_labels(few, all, {.share = share}, key.child(1));
    const std::vector<std::int32_t> chosen = labels_with(labels, few[0], CellRole::train);
    const CellRoles roles = hold_out_at_random(chosen, key, options.held_out);
    const std::vector<std::int32_t> inner = labels_with(labels, roles, CellRole::train);
    const double scale =
        labelled / static_cast<double>(std::count(roles.begin(), roles.end(), CellRole::train));
    std::vector<std::int32_t> truth;
    std::vector<std::int64_t> judged;
    for (std::size_t i = 0; i < roles.size(); ++i)
      if (roles[i] == CellRole::test) {
        truth.push_back(labels[i]);
        judged.push_back(static_cast<std::int64_t>(i));
      }
    if (!judged.empty()) {
      Tensor<float> held({static_cast<std::int64_t>(judged.size()), rows.dim(1)});
      for (std::size_t i = 0; i < judged.size(); ++i)
        std::copy_n(rows.row(judged[i]), rows.dim(1),
                    held.data() + static_cast<std::int64_t>(i) * rows.dim(1));
      double best = -1;
      for (const double strength : options.strengths) {
        regression.c = strength * scale;
        const LogisticRegression model = fit_logistic_regression(rows, inner, classes, regression);
        const std::vector<std::int32_t> found =
            most_probable(predict_probabilities(model, std::as_const(held).view()).view());
        const double f1 = classification_scores(truth, found, classes).macro_f1;
        if (f1 > best) {
          best = f1;
          head.strength = strength;
        }
      }
      head.held_out_f1 = best;
    }
  }
  regression.c = head.strength;
  head.model = fit_logistic_regression(rows, labels, classes, regression);
  return head;
}

}  // namespace stofm
#endif
