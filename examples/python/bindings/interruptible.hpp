// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Long computations called from Python: they run in a thread of their own, without the interpreter's lock,
/// while the calling thread tells a Python callback how far they are and looks for signals.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stofm/pipeline/progress.hpp"

namespace stofm::python {

namespace nb = nanobind;

/// What the worker and the calling thread share. Of each stage only the latest event is kept.
class Watched {
 public:
  struct Event {
    std::string stage, unit;
    std::int64_t done = 0, total = 0;
  };

  pipeline::Progress progress() {
    return pipeline::Progress([this](const pipeline::ProgressEvent& event) { hear(event); }, &stop_);
  }
  void finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_one();
  }
  /// Waits for the end, at most `patience`. \return whether it has come; `events`: those since the last call
  bool wait(std::chrono::milliseconds patience, std::vector<Event>& events) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return finished_; });
    events.swap(events_);
    events_.clear();
    return finished_;
  }
  void stop() { stop_.store(true, std::memory_order_relaxed); }

 private:
  void hear(const pipeline::ProgressEvent& event) {
    const std::lock_guard lock(mutex_);
    if (events_.empty() || events_.back().stage != event.stage)
      events_.push_back({std::string(event.stage), std::string(event.unit), event.done, event.total});
    else
      events_.back().done = event.done;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;
  bool finished_ = false;
  std::atomic<bool> stop_{false};
};

/// work(const pipeline::Progress&) in a thread of its own. \param heard called as heard(stage, done, total,
/// unit), or None. What it raises, and a signal whose handler raises (Ctrl-C), stops the work at its next
/// unit and is raised here. Nothing Python may be touched by `work`.
template <class Work>
auto run_interruptibly(const nb::object& heard, Work&& work) {
  using Result = decltype(work(std::declval<const pipeline::Progress&>()));
  Watched watched;
  std::optional<Result> result;
  std::exception_ptr failed, asked_to_stop;
  std::thread worker([&] {
    try {
      result.emplace(work(watched.progress()));
    } catch (...) {
      failed = std::current_exception();
    }
    watched.finish();
  });
  for (bool finished = false; !finished;) {
    std::vector<Watched::Event> events;
    {
      const nb::gil_scoped_release unlocked;
      finished = watched.wait(std::chrono::milliseconds(50), events);
      if (finished) worker.join();
    }
    if (asked_to_stop) continue;
    try {
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
      if (!heard.is_none())
        for (const Watched::Event& event : events) heard(event.stage, event.done, event.total, event.unit);
    } catch (...) {  // python_error; the worker must end before it leaves
      asked_to_stop = std::current_exception();
      watched.stop();
    }
  }
  if (asked_to_stop) std::rethrow_exception(asked_to_stop);
  if (failed) std::rethrow_exception(failed);
  return *std::move(result);
}

}  // namespace stofm::python
