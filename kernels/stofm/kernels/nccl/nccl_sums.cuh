// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What backend::NcclSums is made of. The communicator does not block: every call returns at once, and while
/// NCCL or the device is at work this thread asks for errors, so that a lost rank is noticed. Host code.

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "stofm/backend/cuda/nccl_sums.hpp"
#include "stofm/kernels/runtime/stream.cuh"

#if !defined(STOFM_KERNEL_EMULATOR)
#include <nccl.h>
#endif

namespace stofm::kernels {

// ---- Errors of NCCL, or in tests of what stands in for it (tests/kernels/support/emulated_nccl.hpp, included
// first). As in common/check.cuh: every call is inside STOFM_NCCL_CHECK, in destructors STOFM_NCCL_RELEASE. The
// codes are in backend/cuda/nccl_sums.hpp.

/// \param who "rank 1 of 4", or empty \param comm null before there is one
[[noreturn]] inline void throw_nccl_error(ncclResult_t result, const char* call, const std::string& who,
                                          ncclComm_t comm) {
  const char* const last = ncclGetLastError(comm);
  const std::string detail = last == nullptr || *last == '\0' ? std::string() : concat(" (", last, ")");
  const std::string where = concat("[", who, who.empty() ? "" : ", ", call, "]"),
                    found = ncclGetErrorString(result) + detail;
  if (result == ncclRemoteError)
    throw DeviceError(
        {"STOFM-4601", "", where, found, "all ranks at work",
         "See the first error of the job; the last checkpoint resumes with any number of ranks."});
  throw DeviceError(
      {"STOFM-6010", "", where, found, "ncclSuccess",
       "NCCL_DEBUG=WARN tells more; STOFM_GRADIENT_SUMS=host sums through the host instead of NCCL."});
}

/// ncclInProgress is no error: the caller waits.
inline ncclResult_t nccl_check(ncclResult_t result, const char* call, const std::string& who,
                               ncclComm_t comm) {
  if (result == ncclSuccess || result == ncclInProgress) return result;
  const std::string text(call);
  throw_nccl_error(result, text.substr(0, text.find('(')).c_str(), who, comm);
}

#define STOFM_NCCL_CHECK(who, comm, call) ::stofm::kernels::nccl_check(call, #call, who, comm)
#define STOFM_NCCL_RELEASE(call) static_cast<void>(call)

class NcclSumsRunner {
 public:
  NcclSumsRunner(Cuda device, int rank, int ranks, const backend::NcclId& id,
                 backend::NcclSumsOptions options)
      : device_(device),
        name_(concat("rank ", rank, " of ", ranks)),
        options_(std::move(options)),
        exceptions_(std::uncaught_exceptions()) {
    try {
      stream_ = native(make_stream(device));
      for (cudaEvent_t* event : {&computed_, &summed_})
        STOFM_CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
      setenv("NCCL_NVLS_ENABLE", "0", 0);  // its sums differ from run to run
      ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
      config.blocking = 0;
      settle("ncclCommInitRankConfig",
             STOFM_NCCL_CHECK(name_, nullptr,
                              ncclCommInitRankConfig(&comm_, ranks, unpacked(id), rank, &config)));
    } catch (...) {
      release(true);
      throw;
    }
  }
  NcclSumsRunner(const NcclSumsRunner&) = delete;
  NcclSumsRunner& operator=(const NcclSumsRunner&) = delete;
  ~NcclSumsRunner() { release(pending_ || std::uncaught_exceptions() > exceptions_); }

  static backend::NcclId make_id() {
    static_assert(sizeof(ncclUniqueId) == sizeof(backend::NcclId));
    ncclUniqueId unique;
    STOFM_NCCL_CHECK("", nullptr, ncclGetUniqueId(&unique));
    backend::NcclId id;
    std::memcpy(id.data(), &unique, sizeof unique);
    return id;
  }
  static std::string version() {
    int code = 0;  // 22809 for 2.28.9
    STOFM_NCCL_CHECK("", nullptr, ncclGetVersion(&code));
    return concat(code / 10000, ".", code / 100 % 100, ".", code % 100);
  }

  void start(CudaStream work, float* values, std::int64_t count) {
    require_communicator();
    or_abort([&] {
      use_device(device_);
      STOFM_CUDA_CHECK(cudaEventRecord(computed_, native(work)));
      STOFM_CUDA_CHECK(cudaStreamWaitEvent(stream_, computed_, 0));
      pending_ = true;
      settle("ncclAllReduce",
             STOFM_NCCL_CHECK(name_, comm_,
                              ncclAllReduce(values, values, static_cast<std::size_t>(count), ncclFloat32,
                                            options_.average ? ncclAvg : ncclSum, comm_, stream_)));
    });
  }

  void finish(CudaStream work) {
    require_communicator();
    if (!pending_) return;
    or_abort([&] {
      use_device(device_);
      STOFM_CUDA_CHECK(cudaEventRecord(summed_, stream_));
      STOFM_CUDA_CHECK(cudaStreamWaitEvent(native(work), summed_, 0));
      wait("ncclAllReduce", [&](ncclResult_t) {
        const cudaError_t state = cudaEventQuery(summed_);  // unchecked: not ready is no error
        if (state == cudaErrorNotReady) return false;
        cuda_check(state, "cudaEventQuery");
        return true;
      });
      pending_ = false;
    });
  }

 private:
  static ncclUniqueId unpacked(const backend::NcclId& id) {
    ncclUniqueId unique;
    std::memcpy(&unique, id.data(), sizeof unique);
    return unique;
  }

  void require_communicator() const {
    if (comm_ == nullptr)
      throw DeviceError({"STOFM-6010", "", concat("[", name_, ", NCCL]"), "no communicator, after an error",
                         "a group without errors", "See the first error."});
  }
  /// After an error of one rank nothing is known of the others' sums.
  template <class Work>
  void or_abort(const Work& work) {
    try {
      work();
    } catch (...) {
      abort();
      throw;
    }
  }
  void abort() noexcept {
    if (comm_ != nullptr) STOFM_NCCL_RELEASE(ncclCommAbort(comm_));
    comm_ = nullptr;
  }

  /// Calls `done(state of the communicator)` until it says so. \throws DeviceError; what `while_waiting` does
  template <class Done>
  void wait(const char* call, const Done& done) {
    for (int turn = 0;; ++turn) {
      ncclResult_t state = ncclSuccess;
      STOFM_NCCL_CHECK(name_, comm_, ncclCommGetAsyncError(comm_, &state));
      if (state != ncclSuccess && state != ncclInProgress) {
        if (state == ncclRemoteError) let_others_speak();
        throw_nccl_error(state, call, name_, comm_);
      }
      if (done(state)) return;
      if (options_.while_waiting) options_.while_waiting();
      // Sums of gradients take tens of microseconds; whoever waits longer leaves the core to others.
      if (turn < 1000)
        std::this_thread::yield();
      else
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  /// NCCL doesn't know which rank is lost, nor why. That rank, if it can, ends the job with its name and
  /// error at the same time: `while_waiting` throws that then, or this process is ended.
  void let_others_speak() const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (options_.while_waiting && std::chrono::steady_clock::now() < end) {
      options_.while_waiting();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  /// Until a call that may still be in progress has been made: nothing else may use the stream before.
  void settle(const char* call, ncclResult_t result) {
    if (result == ncclInProgress) wait(call, [](ncclResult_t state) { return state == ncclSuccess; });
  }

  /// Lets the others read what they still read of this rank; for a moment only, because all sums are there
  /// and a rank that fails now tells nobody.
  void say_goodbye() noexcept {
    if (comm_ == nullptr) return;
    try {
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
      ncclResult_t state = STOFM_NCCL_CHECK(name_, comm_, ncclCommFinalize(comm_));
      while (state == ncclInProgress && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        STOFM_NCCL_CHECK(name_, comm_, ncclCommGetAsyncError(comm_, &state));
      }
      if (state != ncclSuccess) return;
      STOFM_NCCL_RELEASE(ncclCommDestroy(comm_));
      comm_ = nullptr;
    } catch (const std::exception&) {  // this rank is gone then, as after abort
    }
  }
  /// \param failed whether others may not come, so that this rank leaves without them
  void release(bool failed) noexcept {
    if (!failed) say_goodbye();
    abort();
    for (const cudaEvent_t event : {computed_, summed_})
      if (event != nullptr) STOFM_CUDA_RELEASE(cudaEventDestroy(event));
    if (stream_ != nullptr) STOFM_CUDA_RELEASE(cudaStreamDestroy(stream_));
  }

  Cuda device_;
  std::string name_;
  backend::NcclSumsOptions options_;
  int exceptions_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t computed_ = nullptr, summed_ = nullptr;
  ncclComm_t comm_ = nullptr;
  bool pending_ = false;
};

/// The UUID of a device in hexadecimal digits.
inline std::string device_uuid(Cuda device) {
  use_device(device);
  cudaDeviceProp properties;
  STOFM_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.ordinal));
  std::string text;
  for (const char byte : properties.uuid.bytes)
    for (const int shift : {4, 0})
      text += "0123456789abcdef"[(static_cast<unsigned>(static_cast<unsigned char>(byte)) >> shift) & 15U];
  return text;
}

}  // namespace stofm::kernels
