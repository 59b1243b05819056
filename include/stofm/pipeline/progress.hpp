// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How a long computation tells where it is, and how it is asked to stop.

#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace stofm::pipeline {

/// Thrown where a computation was asked to stop. Nothing is half done: results of the call are dropped.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

/// What a callback hears. `done` of `total` units of the stage; total 0: unknown. A stage begins with done =
/// 0 and ends with done = total.
struct ProgressEvent {
  std::string_view stage;  ///< "cells", "virtual cells", "pieces"
  std::int64_t done = 0;
  std::int64_t total = 0;
  std::string_view unit;  ///< "cells", "pieces"
};

/// A callback and a stop flag, both optional. The callback is called by one thread at a time, the one that
/// called the library; it may throw, which ends the computation.
class Progress {
 public:
  using Callback = std::function<void(const ProgressEvent&)>;
  Progress() = default;
  /// \p stop is read between units of work; it must outlive the computation. A signal handler may set it.
  explicit Progress(Callback callback, const std::atomic<bool>* stop = nullptr)
      : callback_(std::move(callback)), stop_(stop) {}

  /// \throws Interrupted if the flag is up.
  void check() const {
    if (stop_ != nullptr && stop_->load(std::memory_order_relaxed)) throw Interrupted();
  }
  /// Tells the callback. \throws Interrupted if the flag is up.
  void report(std::string_view stage, std::int64_t done, std::int64_t total, std::string_view unit) const {
    check();
    if (callback_) callback_({stage, done, total, unit});
  }

 private:
  Callback callback_;
  const std::atomic<bool>* stop_ = nullptr;
};

}  // namespace stofm::pipeline
