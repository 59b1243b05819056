// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Several processes that work on one thing: each has a rank, and all of them call the same collectives in
/// the same order. `Communicator` is the seam: one process here, threads in thread_communicator.hpp, MPI in
/// mpi_communicator.hpp. Gradients on devices are summed by NCCL beside it (cuda_gradient_sums.hpp);
/// everything else goes through it there too.
///
/// A rank that fails must call `abort`, or the others would wait for it for ever: run the work inside
/// `guard_rank`.

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::distributed {

/// A sum that was started; `wait` takes it once.
struct PendingSum {
  std::int64_t id = -1;
};

/// The processes of a job. Not to be used from two threads at once.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  /// 0 to size() - 1.
  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_first() const { return rank() == 0; }

  /// Starts to replace `values` by the sum over all ranks, element by element; the same length everywhere.
  /// Every rank ends with the same bits, and they do not depend on timing. `values` must stay untouched until
  /// `wait`. \throws DeviceError STOFM-4601 if another rank or the network failed, here and in all others.
  virtual PendingSum start_sum(std::span<float> values) = 0;
  virtual PendingSum start_sum(std::span<double> values) = 0;
  /// Lets started sums go on; call it now and then while computing, or while waiting for something else that
  /// needs all ranks. \throws DeviceError STOFM-4601 if another rank is known to have failed.
  virtual void progress() {}
  virtual void wait(PendingSum& sum) = 0;

  /// Copies the bytes of rank `root` to all others.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  /// The text of every rank, in the order of ranks, on every rank.
  virtual std::vector<std::string> all_gather(const std::string& text) = 0;
  /// Returns when all ranks have called it.
  virtual void barrier() = 0;
  /// Ends the whole job because this rank failed. `message` names what happened; the rank is added to it.
  [[noreturn]] void abort(const std::string& message, int exit_code) {
    end_job(message, exit_code);
    throw DeviceError({"STOFM-4602", "", "[" + name() + "]", message, "", "See the first error of the job."});
  }

  template <class T>
  void all_reduce_sum(std::span<T> values) {
    PendingSum sum = start_sum(values);
    wait(sum);
  }
  /// The sum of one number over all ranks: losses, numbers of targets, "somebody wants to stop".
  double sum_of(double value) {
    all_reduce_sum(std::span<double>(&value, 1));
    return value;
  }
  template <class T>
  void broadcast_values(std::span<T> values, int root) {
    broadcast(std::as_writable_bytes(values), root);
  }

  /// "rank 1 of 4"
  std::string name() const { return concat("rank ", rank(), " of ", size()); }

 protected:
  /// Tells the other ranks, or ends this process.
  virtual void end_job(const std::string& message, int exit_code) = 0;
};

/// One process: every collective has nothing to do.
class SingleProcess final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  PendingSum start_sum(std::span<float>) override { return {0}; }
  PendingSum start_sum(std::span<double>) override { return {0}; }
  void wait(PendingSum& sum) override { sum = {}; }
  void broadcast(std::span<std::byte>, int) override {}
  std::vector<std::string> all_gather(const std::string& text) override { return {text}; }
  void barrier() override {}

 protected:
  void end_job(const std::string&, int) override {}
};

/// Runs `work()` and returns its result. With one rank, exceptions pass through; with several, an exception
/// ends the whole job with the name of this rank.
template <class Work>
auto guard_rank(Communicator& ranks, Work&& work) {
  if (ranks.size() == 1) return work();
  std::string message;
  int exit_code = 70;  // EX_SOFTWARE of sysexits.h
  try {
    return work();
  } catch (const Error& error) {
    message = error.what();
    exit_code = error.exit_code();
  } catch (const std::bad_alloc&) {
    message = "out of memory";
    exit_code = static_cast<int>(ErrorKind::resource);
  } catch (const std::exception& error) {
    message = error.what();
  }
  ranks.abort(message, exit_code);
}

/// Which of `count` things in a row belong to a rank: [begin, end), sizes that differ by one at most.
inline std::pair<std::int64_t, std::int64_t> share_of(std::int64_t count, const Communicator& ranks) {
  const std::int64_t size = ranks.size(), rank = ranks.rank(), least = count / size, more = count % size;
  const std::int64_t begin = rank * least + (rank < more ? rank : more);
  return {begin, begin + least + (rank < more ? 1 : 0)};
}

}  // namespace stofm::distributed
