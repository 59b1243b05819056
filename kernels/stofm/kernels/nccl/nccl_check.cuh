// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// NCCL, or in tests what stands in for it (tests/kernels/support/emulated_nccl.hpp, included first), and its
/// errors. As in common/check.cuh: every call is inside STOFM_NCCL_CHECK, in destructors STOFM_NCCL_RELEASE.
/// The codes are in backend/cuda/nccl_sums.hpp.

#if !defined(STOFM_KERNEL_EMULATOR)
#include <nccl.h>
#endif

#include "stofm/kernels/common/check.cuh"

namespace stofm::kernels {

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

}  // namespace stofm::kernels
