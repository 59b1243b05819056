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
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if __has_include(<pthread.h>)
#include <pthread.h>
#endif

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
  ~ThreadPool() { delete crew_.load(); }

  int size() const { return size_.load(); }
  void resize(int threads) {
    Crew& crew = this->crew();
    const std::scoped_lock use(crew.use);
    crew.stop();
    size_ = threads;
  }

  /// Runs chunk_body(context, i) for i in [0, chunks). A second caller, or a nested call, does its own chunks
  /// alone.
  void run(std::int64_t chunks, void (*chunk_body)(void*, std::int64_t), void* context) {
    const auto alone = [&] {
      for (std::int64_t i = 0; i < chunks; ++i) chunk_body(context, i);
    };
    if (chunks <= 1 || inside() || size() <= 1) return alone();
    Crew& crew = this->crew();
    const std::unique_lock use(crew.use, std::try_to_lock);
    if (!use.owns_lock()) return alone();
    crew.run(size(), {chunk_body, context, chunks});
  }

 private:
  struct Job {
    void (*body)(void*, std::int64_t) = nullptr;
    void* context = nullptr;
    std::int64_t chunks = 0;
  };

  /// The threads and what they share.
  struct Crew {
    Crew() = default;
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;
    ~Crew() { stop(); }

    void run(int threads, const Job& next_job) {
      start(threads);
      {
        const std::scoped_lock lock(mutex);
        job = next_job;
        next = 0;
        failed_chunk = INT64_MAX;
        failure = nullptr;
        active = static_cast<int>(workers.size());
        ++generation;
      }
      wake.notify_all();
      work();
      std::unique_lock lock(mutex);
      done.wait(lock, [this] { return active == 0; });
      if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
    }
    void start(int threads) {
      while (static_cast<int>(workers.size()) + 1 < threads) {
        try {
          workers.emplace_back([this, seen = generation]() mutable { loop(seen); });
        } catch (const std::system_error&) {
          break;  // the system has no more threads: fewer do the same work with the same result
        }
      }
    }
    void stop() {
      {
        const std::scoped_lock lock(mutex);
        stopping = true;
      }
      wake.notify_all();
      for (auto& worker : workers) worker.join();
      workers.clear();
      stopping = false;
    }
    void loop(std::uint64_t seen) {
      for (;;) {
        {
          std::unique_lock lock(mutex);
          wake.wait(lock, [&] { return stopping || generation != seen; });
          if (stopping) return;
          seen = generation;
        }
        work();
        {
          const std::scoped_lock lock(mutex);
          --active;
        }
        done.notify_one();
      }
    }
    void work() {
      inside() = true;
      for (std::int64_t i = next.fetch_add(1); i < job.chunks; i = next.fetch_add(1)) {
        try {
          job.body(job.context, i);
        } catch (...) {
          const std::scoped_lock lock(mutex);
          if (i < failed_chunk) {  // the first chunk in order wins: the message does not depend on timing
            failed_chunk = i;
            failure = std::current_exception();
          }
        }
      }
      inside() = false;
    }

    std::mutex use;    // one parallel region at a time
    std::mutex mutex;  // guards the fields below
    std::condition_variable wake, done;
    std::vector<std::thread> workers;
    std::uint64_t generation = 0;
    bool stopping = false;
    int active = 0;
    Job job;
    std::atomic<std::int64_t> next{0};
    std::int64_t failed_chunk = INT64_MAX;
    std::exception_ptr failure;
  };

  ThreadPool() : size_(static_cast<int>((std::max)(1U, std::thread::hardware_concurrency()))) {
#if __has_include(<pthread.h>)
    // A child of fork() has one thread, the one that forked. The crew of its parent, whose locks may be held
    // by threads that are not there, is left alone; the first parallel loop makes another.
    ::pthread_atfork(nullptr, nullptr, [] {
      ThreadPool& pool = global();
      if (Crew* const parents = pool.crew_.exchange(nullptr)) pool.parents_crew_ = parents;
    });
#endif
  }

  Crew& crew() {
    Crew* now = crew_.load();
    if (now != nullptr) return *now;
    auto made = std::make_unique<Crew>();
    if (crew_.compare_exchange_strong(now, made.get())) now = made.release();
    return *now;
  }
  static bool& inside() {
    thread_local bool value = false;
    return value;
  }

  std::atomic<int> size_;
  std::atomic<Crew*> crew_{nullptr};
  Crew* parents_crew_ = nullptr;  // never used: reachable, so that it does not look lost
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
