// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a training run tells while it goes on: losses, cells a second, time left.

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stofm::train {

/// After one step.
struct TrainingProgress {
  std::int64_t step = 0, steps = 0;  ///< done, of all
  double epoch = 0;                  ///< passes over the training data so far
  double loss = 0;
  std::vector<std::pair<std::string, double>> losses;  ///< its parts by name
  double learning_rate = 0, gradient_norm = 0;
  double seconds = 0;           ///< of this step
  double cells_per_second = 0;  ///< smoothed
  double seconds_left = 0;      ///< estimate; 0 at the end
};

/// Smoothed seconds per step: mean of the last steps, old ones fading by `keep` each.
class StepTimer {
 public:
  explicit StepTimer(double keep = 0.95) : keep_(keep) {}
  /// Seconds since the last call or the construction.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }
  void add(double seconds, std::int64_t cells) {
    weight_ = keep_ * weight_ + 1.0;
    seconds_ = keep_ * seconds_ + seconds;
    cells_ = keep_ * cells_ + static_cast<double>(cells);
  }
  double seconds_per_step() const { return weight_ > 0 ? seconds_ / weight_ : 0.0; }
  double cells_per_second() const { return seconds_ > 0 ? cells_ / seconds_ : 0.0; }

 private:
  double keep_, weight_ = 0, seconds_ = 0, cells_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace stofm::train
