// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Ranks that are threads of one process: for tests, and to try a training program over ranks without MPI.
/// Sums are taken in the order of ranks by whoever comes last.

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "stofm/distributed/communicator.hpp"

namespace stofm::distributed {

namespace detail {
/// One collective: what each rank brought, and whether all did.
struct Meeting {
  std::vector<std::span<std::byte>> bytes;
  std::vector<std::string> texts;
  int arrived = 0, left = 0;
  bool done = false;
};
struct ThreadJob {
  explicit ThreadJob(int ranks) : size(ranks) {}
  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::int64_t, Meeting>
      meetings;  // by number in the order of calls, which is the same on all ranks
  std::string failure;
};
}  // namespace detail

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<detail::ThreadJob> job, int rank) : job_(std::move(job)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return job_->size; }
  PendingSum start_sum(std::span<float> values) override {
    return {arrive(std::as_writable_bytes(values), add<float>)};
  }
  PendingSum start_sum(std::span<double> values) override {
    return {arrive(std::as_writable_bytes(values), add<double>)};
  }
  void progress() override {
    const std::scoped_lock lock(job_->mutex);
    if (!job_->failure.empty()) fail();
  }
  void wait(PendingSum& sum) override {
    meet(sum.id);
    sum = {};
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    meet(arrive(bytes, [root](detail::Meeting& meeting) {
      const auto from = meeting.bytes[static_cast<std::size_t>(root)];
      for (const auto& to : meeting.bytes)
        if (to.data() != from.data() && !from.empty()) std::memcpy(to.data(), from.data(), from.size());
    }));
  }
  std::vector<std::string> all_gather(const std::string& text) override {
    return meet(arrive(
        {}, [](detail::Meeting&) {}, text));
  }
  void barrier() override { all_gather(""); }

 protected:
  void end_job(const std::string& message, int) override {
    {
      const std::scoped_lock lock(job_->mutex);
      if (job_->failure.empty()) job_->failure = name() + " failed: " + message;
    }
    job_->changed.notify_all();
    fail();
  }

 private:
  template <class T>
  static void add(detail::Meeting& meeting) {
    const auto first = meeting.bytes[0];
    T* sum = reinterpret_cast<T*>(first.data());
    for (std::size_t other = 1; other < meeting.bytes.size(); ++other)
      for (std::size_t i = 0; i < first.size() / sizeof(T); ++i)
        sum[i] += reinterpret_cast<const T*>(meeting.bytes[other].data())[i];
    for (std::size_t other = 1; other < meeting.bytes.size(); ++other)
      if (!first.empty()) std::memcpy(meeting.bytes[other].data(), first.data(), first.size());
  }
  [[noreturn]] void fail() const {
    throw DeviceError(
        {"STOFM-4601", "", "[" + name() + "]", job_->failure, "all ranks at work", "See that rank's error."});
  }
  template <class Finish>
  std::int64_t arrive(std::span<std::byte> bytes, Finish&& finish, const std::string& text = "") {
    const std::int64_t id = next_++;
    const std::scoped_lock lock(job_->mutex);
    detail::Meeting& meeting = job_->meetings[id];
    meeting.bytes.resize(static_cast<std::size_t>(size()));
    meeting.texts.resize(static_cast<std::size_t>(size()));
    meeting.bytes[static_cast<std::size_t>(rank_)] = bytes;
    meeting.texts[static_cast<std::size_t>(rank_)] = text;
    if (++meeting.arrived == size()) {
      finish(meeting);
      meeting.done = true;
      job_->changed.notify_all();
    }
    return id;
  }
  std::vector<std::string> meet(std::int64_t id) {
    std::unique_lock lock(job_->mutex);
    detail::Meeting& meeting = job_->meetings.at(id);
    job_->changed.wait(lock, [&] { return meeting.done || !job_->failure.empty(); });
    if (!meeting.done) fail();
    std::vector<std::string> texts = meeting.texts;
    if (++meeting.left == size()) job_->meetings.erase(id);
    return texts;
  }

  std::shared_ptr<detail::ThreadJob> job_;
  int rank_;
  std::int64_t next_ = 0;
};

/// Runs work(communicator) on `ranks` threads and returns when all have ended. \throws what the first rank in
/// order that failed threw; the others are stopped at their next collective.
inline void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  const auto job = std::make_shared<detail::ThreadJob>(ranks);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      ThreadCommunicator communicator(job, rank);
      try {
        guard_rank(communicator, [&] { work(communicator); });
      } catch (...) {
        failures[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace stofm::distributed
