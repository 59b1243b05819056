// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How a long loop without stages of its own is asked to stop: its options hold a function that it calls.

#include <utility>

#include "stofm/core/callback.hpp"

namespace stofm {

/// Called by long loops every few milliseconds, also by several threads at once. What it throws ends the
/// computation and comes out of it; results of the call are dropped. Empty: nobody asks.
class StopCheck {
 public:
  StopCheck() = default;
  explicit StopCheck(Callback<void()> check) : check_(std::move(check)) {}
  void operator()() const {
    if (check_) check_();
  }

 private:
  Callback<void()> check_;
};

}  // namespace stofm
