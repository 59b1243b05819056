// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Ranks over MPI (needs the target stofm::mpi). Sums are MPI_Iallreduce, so that they run while the caller
/// computes and calls `progress`; MPI is used from the calling thread only.

#if !__has_include(<mpi.h>)
#error "mpi.h is not found: install MPI (apt-get install libopenmpi-dev) and link stofm::mpi"
#endif

#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "stofm/distributed/communicator.hpp"

namespace stofm::distributed {

/// MPI from its start to its end: make one, early in main, and nothing else of MPI. Destroyed while an
/// exception passes, it ends the whole job, since the other ranks would wait for this one.
class MpiCommunicator final : public Communicator {
 public:
  /// Whether this process was started by mpirun, srun or the like; without, MPI need not be started at all.
  static bool launched() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "PMI_RANK", "MPI_LOCALNRANKS"})
      if (std::getenv(name) != nullptr) return true;
    return false;
  }

  /// \throws DeviceError STOFM-4603 if MPI can not be started or was started before.
  MpiCommunicator() : exceptions_(std::uncaught_exceptions()) {
    int before = 0, level = 0;
    MPI_Initialized(&before);
    if (before != 0 || MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS)
      throw DeviceError({"STOFM-4603", "", "[mpi]",
                         before != 0 ? "MPI that runs already" : "an error from MPI_Init", "a start of MPI",
                         "Make one MpiCommunicator per process."});
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() > exceptions_ && size_ > 1) end_job("an error, told above", 70);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  PendingSum start_sum(std::span<float> values) override {
    return start(values.data(), values.size(), MPI_FLOAT);
  }
  PendingSum start_sum(std::span<double> values) override {
    return start(values.data(), values.size(), MPI_DOUBLE);
  }
  void progress() override {
    for (auto& [id, request] : requests_) {
      int done = 0;
      check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    }
  }
  void wait(PendingSum& sum) override {
    const auto found = requests_.find(sum.id);
    if (found == requests_.end())
      throw UsageError({"STOFM-4604", "", "[wait]", "a sum that was not started, or waited for before",
                        "a sum of start_sum", "Wait once for each."});
    check(MPI_Wait(&found->second, MPI_STATUS_IGNORE), "MPI_Wait");
    requests_.erase(found);
    sum = {};
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    constexpr std::size_t most = std::size_t{1} << 30;
    for (std::size_t at = 0; at < bytes.size(); at += most)
      check(MPI_Bcast(bytes.data() + at, static_cast<int>((std::min)(most, bytes.size() - at)), MPI_BYTE,
                      root, MPI_COMM_WORLD),
            "MPI_Bcast");
  }
  std::vector<std::string> all_gather(const std::string& text) override {
    std::vector<std::string> texts(static_cast<std::size_t>(size_));
    for (int root = 0; root < size_; ++root) {
      std::string& one = texts[static_cast<std::size_t>(root)];
      if (root == rank_) one = text;
      std::uint64_t length = one.size();
      broadcast_values(std::span<std::uint64_t>(&length, 1), root);
      one.resize(length);
      broadcast_values(std::span<char>(one.data(), one.size()), root);
    }
    return texts;
  }
  void barrier() override { check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

 protected:
  [[noreturn]] void end_job(const std::string& message, int exit_code) override {
    std::fprintf(stderr, "stofm: %s failed and ends the job: %s\n", name().c_str(), message.c_str());
    std::fflush(nullptr);
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);  // MPI_Abort does not promise to end this process
  }

 private:
  PendingSum start(void* values, std::size_t count, MPI_Datatype type) {
    if (count > static_cast<std::size_t>(INT_MAX))
      throw UsageError({"STOFM-4605", "", "[start_sum]", concat(count, " numbers"),
                        concat("at most ", INT_MAX), "Sum in several parts."});
    const std::int64_t id = next_++;
    MPI_Request& request = requests_[id];
    check(MPI_Iallreduce(MPI_IN_PLACE, values, static_cast<int>(count), type, MPI_SUM, MPI_COMM_WORLD,
                         &request),
          "MPI_Iallreduce");
    return {id};
  }
  void check(int code, const char* call) const {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw DeviceError(
        {"STOFM-4601", "", concat("[", name(), ", ", call, "]"), stofm::quoted(text), "all ranks at work",
         "See the first error of the job; the last checkpoint resumes with any number of ranks."});
  }
  int rank_ = 0, size_ = 1, exceptions_;
  std::int64_t next_ = 0;
  std::map<std::int64_t, MPI_Request> requests_;
};

}  // namespace stofm::distributed
