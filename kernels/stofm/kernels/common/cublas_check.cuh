// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// STOFM_CUBLAS_CHECK(cublasLtMatmul(...)): as STOFM_CUDA_CHECK, for calls that give a cublasStatus_t.

#include <cublasLt.h>

#include "stofm/kernels/common/check.cuh"

namespace stofm::kernels {

inline void cublas_check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string where = concat("[", std::string(call).substr(0, std::string(call).find('(')), "]");
  const std::string found = cublasLtGetStatusString(status);
  if (status == CUBLAS_STATUS_ALLOC_FAILED)
    throw ResourceError({"STOFM-6003", "", where, found, "enough device memory", "Use a smaller --batch."});
  throw DeviceError({"STOFM-6007", "", where, found, "CUBLAS_STATUS_SUCCESS",
                     "Try again, or use --device cpu; please report it if it comes back."});
}

template <class Call>
void checked_cublas_call(const char* text, const Call& call) {
  cublas_check(call_shall_fail() ? CUBLAS_STATUS_ALLOC_FAILED : call(), text);
}

#define STOFM_CUBLAS_CHECK(call) ::stofm::kernels::checked_cublas_call(#call, [&] { return call; })

}  // namespace stofm::kernels
