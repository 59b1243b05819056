// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Threads: a pool of our own. Work is cut into chunks whose borders depend on the size of the work only,
/// never on the number of threads, so a result has the same bits on 1, 2 or 64 threads as long as chunks
/// write apart from each other.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm {

namespace detail {
class ThreadPool {
 public:
  static ThreadPool& global() {
    static ThreadPool pool;
    return pool;
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() { stop(); }

  int size() const { return size_.load(); }
  void resize(int threads) {
    const std::scoped_lock use(use_);
    stop();
    size_ = threads;
  }

  /// Runs chunk_body(context, i) for i in [0, chunks). A second caller, or a nested call, does its own chunks
  /// alone.
  void run(std::int64_t chunks, void (*chunk_body)(void*, std::int64_t), void* context) {
    std::unique_lock use(use_, std::defer_lock);
    if (chunks <= 1 || inside() || size() <= 1 || !use.try_lock()) {
      for (std::int64_t i = 0; i < chunks; ++i) chunk_body(context, i);
      return;
    }
    start();
    {
      const std::scoped_lock lock(mutex_);
      run_ = chunk_body;
      context_ = context;
      chunks_ = chunks;
      next_ = 0;
      failed_chunk_ = INT64_MAX;
      failure_ = nullptr;
      active_ = static_cast<int>(workers_.size());
      ++generation_;
    }
    wake_.notify_all();
    work();
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return active_ == 0; });
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  ThreadPool() : size_(static_cast<int>((std::max)(1U, std::thread::hardware_concurrency()))) {}

  static bool& inside() {
    thread_local bool value = false;
    return value;
  }
  void start() {
    while (static_cast<int>(workers_.size()) + 1 < size()) {
      try {
        workers_.emplace_back([this, seen = generation_]() mutable { loop(seen); });
      } catch (const std::system_error&) {
        break;  // the system has no more threads: fewer do the same work with the same result
      }
    }
  }
  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
    stopping_ = false;
  }
  void loop(std::uint64_t seen) {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
        if (stopping_) return;
        seen = generation_;
      }
      work();
      {
        const std::scoped_lock lock(mutex_);
        --active_;
      }
      done_.notify_one();
    }
  }
  void work() {
    inside() = true;
    for (std::int64_t i = next_.fetch_add(1); i < chunks_; i = next_.fetch_add(1)) {
      try {
        run_(context_, i);
      } catch (...) {
        const std::scoped_lock lock(mutex_);
        if (i <
            failed_chunk_) {  // the first chunk in order wins, so that the message does not depend on timing
          failed_chunk_ = i;
          failure_ = std::current_exception();
        }
      }
    }
    inside() = false;
  }

  std::atomic<int> size_;
  std::mutex use_;    // one parallel region at a time
  std::mutex mutex_;  // guards the fields below
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  std::uint64_t generation_ = 0;
  bool stopping_ = false;
  int active_ = 0;
  void (*run_)(void*, std::int64_t) = nullptr;
  void* context_ = nullptr;
  std::int64_t chunks_ = 0;
  std::atomic<std::int64_t> next_{0};
  std::int64_t failed_chunk_ = INT64_MAX;
  std::exception_ptr failure_;
};
}  // namespace detail

/// Number of threads that parallel loops use, the caller included. Default: the cores of the machine.
inline int thread_count() { return detail::ThreadPool::global().size(); }

/// Sets it, 1 to 1024. Results do not depend on it. \throws UsageError outside that range.
inline void set_thread_count(int threads) {
  if (threads < 1 || threads > 1024)
    throw UsageError({"STOFM-1012", "", "threads", std::to_string(threads), "1 to 1024",
                      "Give the number of cores, or leave it out."});
  detail::ThreadPool::global().resize(threads);
}

/// Calls body(begin, end) over [0, count) in chunks of `grain` elements (the last may be shorter). Chunks may
/// run at the same time in any order: they must write to places of their own. Nested calls run on the calling
/// thread. An exception of the lowest failing chunk is rethrown here after all chunks ended.
template <class Body>
void parallel_for(std::int64_t count, std::int64_t grain, Body&& body) {
  if (count <= 0) return;
  grain = (std::max<std::int64_t>)(grain, 1);
  struct Context {
    std::remove_reference_t<Body>* body;
    std::int64_t count, grain;
  } context{&body, count, grain};
  detail::ThreadPool::global().run((count + grain - 1) / grain,
                                   [](void* raw, std::int64_t chunk) {
                                     const auto& c = *static_cast<Context*>(raw);
                                     (*c.body)(chunk * c.grain, (std::min)(c.count, (chunk + 1) * c.grain));
                                   },
                                   &context);
}

}  // namespace stofm
