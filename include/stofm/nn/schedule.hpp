// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Learning rate by step: a linear rise over the warm-up, then constant, linear or cosine decay to
/// `final_rate`.
///     s < W:   rate (s + 1) / W
///     else:    p = min(1, (s - W) / (S - W));
///              linear: f + (rate - f)(1 - p);   cosine: f + (rate - f)(1 + cos(pi p)) / 2
/// s counts finished steps, W is the warm-up, S all steps, f the final rate. The first step has a rate above
/// zero, which is our choice (Hugging Face starts at zero).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "stofm/core/error.hpp"

namespace stofm::nn {

enum class Decay { constant, linear, cosine };

struct ScheduleOptions {
  double learning_rate = 1e-4;  ///< the highest rate
  double final_rate = 0.0;      ///< at the end of the decay, and beyond it
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 0;  ///< warm-up included; not used by Decay::constant
  Decay decay = Decay::cosine;

  /// \throws UsageError STOFM-1520.
  void validate() const {
    const bool rates =
        std::isfinite(learning_rate) && learning_rate >= 0 && final_rate >= 0 && final_rate <= learning_rate;
    const bool steps = warmup_steps >= 0 && (decay == Decay::constant || total_steps >= warmup_steps);
    if (!rates)
      throw UsageError({"STOFM-1520", "", "[schedule]",
                        concat("learning rate ", learning_rate, ", final rate ", final_rate),
                        "0 <= final rate <= learning rate, both finite", "Check the rates."});
    if (!steps)
      throw UsageError({"STOFM-1520", "", "[schedule]",
                        concat(warmup_steps, " warm-up steps of ", total_steps),
                        "0 <= warm-up steps <= all steps", "Check the numbers of steps."});
  }
};

/// The rate of the step after `finished_steps` steps.
inline double learning_rate_at(const ScheduleOptions& options, std::int64_t finished_steps) {
  options.validate();
  const double s = static_cast<double>((std::max<std::int64_t>)(finished_steps, 0));
  const double warmup = static_cast<double>(options.warmup_steps);
  if (s < warmup) return options.learning_rate * (s + 1.0) / warmup;
  if (options.decay == Decay::constant) return options.learning_rate;
  const double left = static_cast<double>(options.total_steps) - warmup;
  const double p = left <= 0 ? 1.0 : (std::min)(1.0, (s - warmup) / left);
  const double share =
      options.decay == Decay::linear ? 1.0 - p : 0.5 * (1.0 + std::cos(std::numbers::pi * p));
  return options.final_rate + (options.learning_rate - options.final_rate) * share;
}

}  // namespace stofm::nn
