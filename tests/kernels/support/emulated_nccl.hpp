// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The part of NCCL that kernels/nccl uses, between threads of one process, in place of nccl.h: include it
/// after emulator.hpp. A rank is a thread. Sums are taken in the order of ranks, a call of all ranks at a
/// time, by whoever comes last; until then the stream is busy. Calls give ncclInProgress first, as those of a
/// communicator that does not block. It refuses what would go wrong on devices: ranks with different counts,
/// two ranks on one device, a sum that did not wait for the work before it, a communicator used after its
/// end or while a call is in progress. When a rank leaves by ncclCommAbort, the others are told so, if
/// `EmulatedNccl::notices_lost_ranks`.

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

enum ncclResult_t {  // the values of NCCL
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,
  ncclInternalError = 3,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
  ncclRemoteError = 6,
  ncclInProgress = 7,
};
enum ncclDataType_t { ncclFloat32 = 7 };
enum ncclRedOp_t { ncclSum = 0, ncclAvg = 4 };
struct ncclUniqueId {
  char internal[128];
};
struct ncclConfig_t {
  int blocking;
};
#define NCCL_CONFIG_INITIALIZER \
  { 1 }

/// One ncclAllReduce of all ranks.
struct EmulatedSum {
  std::vector<float*> values;
  std::size_t count = 0;
  bool average = false;
  int arrived = 0;
  std::atomic<bool> done{false};
};
struct EmulatedGroup {
  explicit EmulatedGroup(int count) : size(count), devices(static_cast<std::size_t>(count), -1) {}
  const int size;
  std::vector<int> devices;
  int arrived = 0, finalized = 0;
  bool lost = false;
  std::vector<std::shared_ptr<EmulatedSum>> sums;  // in the order of the calls
};
struct EmulatedComm {
  std::shared_ptr<EmulatedGroup> group;
  int rank = 0;
  std::size_t calls = 0;
  int seen_waits = 0;
  int polls_left = 0;  // how often the last call is still in progress
  ncclResult_t error = ncclSuccess;
  bool finalizing = false;
};
using ncclComm_t = EmulatedComm*;

/// What tests look at and set.
struct EmulatedNccl {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<EmulatedGroup>> groups;
  int ids = 0;
  std::atomic<int> communicators{0};  ///< that were made and not given back
  std::atomic<int> aborted{0};
  std::atomic<bool> notices_lost_ranks{true};
  std::vector<std::size_t> counts;  ///< of the sums, in the order of the calls of rank 0
  std::string last_error;
  std::string failing_call;  ///< the call of this name that counts `failing_after` down to 0 fails
  int failing_after = 0;
};
inline EmulatedNccl& emulated_nccl() {
  static EmulatedNccl only;
  return only;
}

namespace emulated_nccl_detail {
inline ncclResult_t refuse(EmulatedComm* comm, ncclResult_t why, const char* text) {
  emulated_nccl().last_error = text;
  if (comm != nullptr) comm->error = why;
  return why;
}
inline bool fails(const char* call) {
  EmulatedNccl& all = emulated_nccl();
  if (all.failing_call != call || --all.failing_after != 0) return false;
  all.last_error = "a failing call";
  return true;
}
inline void add(EmulatedSum& sum) {
  float* const first = sum.values[0];
  for (std::size_t rank = 1; rank < sum.values.size(); ++rank)
    for (std::size_t i = 0; i < sum.count; ++i) first[i] += sum.values[rank][i];
  if (sum.average)
    for (std::size_t i = 0; i < sum.count; ++i) first[i] /= static_cast<float>(sum.values.size());
  for (std::size_t rank = 1; rank < sum.values.size(); ++rank)
    std::memcpy(sum.values[rank], first, sum.count * sizeof(float));
  sum.done = true;
}
}  // namespace emulated_nccl_detail

inline const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    default:
      return "an error of the emulated NCCL";
  }
}
inline const char* ncclGetLastError(ncclComm_t) {
  const std::scoped_lock lock(emulated_nccl().mutex);
  static thread_local std::string text;  // the caller reads it without the lock
  text = emulated_nccl().last_error;
  return text.c_str();
}
inline ncclResult_t ncclGetVersion(int* version) { return *version = 22809, ncclSuccess; }
inline ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  EmulatedNccl& all = emulated_nccl();
  const std::scoped_lock lock(all.mutex);
  if (emulated_nccl_detail::fails("ncclGetUniqueId")) return ncclSystemError;
  std::memset(id, 0, sizeof *id);
  const std::string text = "group " + std::to_string(++all.ids);
  std::memcpy(id->internal, text.data(), text.size());
  return ncclSuccess;
}

inline ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                           ncclConfig_t* config) {
  EmulatedNccl& all = emulated_nccl();
  const std::scoped_lock lock(all.mutex);
  *comm = nullptr;
  if (emulated_nccl_detail::fails("ncclCommInitRankConfig")) return ncclSystemError;
  if (config->blocking != 0 || rank < 0 || rank >= ranks)
    return emulated_nccl_detail::refuse(nullptr, ncclInvalidArgument, "a blocking communicator");
  auto& group = all.groups[id.internal];
  if (!group) group = std::make_shared<EmulatedGroup>(ranks);
  *comm = new EmulatedComm{group, rank};
  (*comm)->polls_left = 2;
  ++all.communicators;
  group->devices[static_cast<std::size_t>(rank)] = emulator::device_number();
  ++group->arrived;
  return ncclInProgress;
}

inline ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  EmulatedNccl& all = emulated_nccl();
  const std::scoped_lock lock(all.mutex);
  if (emulated_nccl_detail::fails("ncclCommGetAsyncError")) return ncclSystemError;
  EmulatedGroup& group = *comm->group;
  if (comm->error == ncclSuccess && group.lost && all.notices_lost_ranks)
    emulated_nccl_detail::refuse(comm, ncclRemoteError, "connection closed by remote peer");
  for (int other = 0; other < group.size && comm->error == ncclSuccess; ++other)
    if (other != comm->rank &&
        group.devices[static_cast<std::size_t>(other)] == group.devices[static_cast<std::size_t>(comm->rank)])
      emulated_nccl_detail::refuse(comm, ncclInvalidUsage, "Duplicate GPU detected");
  const bool meeting = group.arrived < group.size, leaving = comm->finalizing && group.finalized < group.size;
  *state = comm->error != ncclSuccess                     ? comm->error
           : meeting || leaving || comm->polls_left-- > 0 ? ncclInProgress
                                                          : ncclSuccess;
  if (comm->polls_left < 0) comm->polls_left = 0;
  return ncclSuccess;
}

inline ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                  ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  EmulatedNccl& all = emulated_nccl();
  const std::scoped_lock lock(all.mutex);
  if (emulated_nccl_detail::fails("ncclAllReduce")) return ncclSystemError;
  if (comm->error != ncclSuccess) return comm->error;
  if (comm->polls_left > 0 || comm->group->arrived < comm->group->size)
    return emulated_nccl_detail::refuse(comm, ncclInvalidUsage, "a call while another is in progress");
  if (from != to || type != ncclFloat32 || count == 0)
    return emulated_nccl_detail::refuse(comm, ncclInvalidArgument, "not in place, or nothing");
  if (stream->waits == comm->seen_waits)
    return emulated_nccl_detail::refuse(comm, ncclInvalidUsage, "did not wait for what computes its numbers");
  comm->seen_waits = stream->waits;
  emulator::catch_up(stream);  // what it waits for may be deferred
  if (comm->rank == 0) all.counts.push_back(count);
  auto& sums = comm->group->sums;
  if (comm->calls == sums.size()) {
    sums.push_back(std::make_shared<EmulatedSum>());
    sums.back()->values.resize(static_cast<std::size_t>(comm->group->size));
    sums.back()->count = count;
    sums.back()->average = op == ncclAvg;
  }
  const std::shared_ptr<EmulatedSum> sum = sums[comm->calls++];
  if (sum->count != count || sum->average != (op == ncclAvg))
    return emulated_nccl_detail::refuse(comm, ncclInvalidArgument, "ranks with different counts");
  sum->values[static_cast<std::size_t>(comm->rank)] = static_cast<float*>(to);
  if (++sum->arrived == comm->group->size && !comm->group->lost) emulated_nccl_detail::add(*sum);
  stream->busy = [sum] { return !sum->done; };  // sums end in the order of the calls
  comm->polls_left = 1;
  return ncclInProgress;
}

inline ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const std::scoped_lock lock(emulated_nccl().mutex);
  if (emulated_nccl_detail::fails("ncclCommFinalize")) return ncclSystemError;
  comm->finalizing = true;
  ++comm->group->finalized;
  return ncclInProgress;
}
inline ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  EmulatedNccl& all = emulated_nccl();
  const std::scoped_lock lock(all.mutex);
  --all.communicators;
  delete comm;
  return ncclSuccess;
}
inline ncclResult_t ncclCommAbort(ncclComm_t comm) {
  EmulatedNccl& all = emulated_nccl();
  const std::scoped_lock lock(all.mutex);
  comm->group->lost = true;
  --all.communicators;
  ++all.aborted;
  delete comm;
  return ncclSuccess;
}
