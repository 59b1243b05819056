// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Matrix products through cuBLASLt: what stands behind the seam on a device. A row-major D [m, n] is the
/// column-major D^T [n, m], so B takes the place of cuBLAS' A and the bias runs along its rows.
/// Float32 products use CUBLAS_COMPUTE_32F, which keeps to float32 multiplications (no TF32); bfloat16
/// products add in float32. The first algorithm that the heuristic names for a shape is kept for it, so a
/// shape gives the same bits in every call; no reduction scheme of cuBLASLt uses atomics.
/// *Source* cuBLAS 13.0 documentation, sections on cublasLtMatmul, its epilogues and heuristics cache.

#include <cublasLt.h>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "stofm/backend/cuda/memory.hpp"
#include "stofm/core/error.hpp"
#include "stofm/kernels/common/check.cuh"
#include "stofm/kernels/gemm/problem.hpp"

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

/// Owns a handle, its workspace and the plans of the shapes seen. For one stream at a time: the workspace is
/// shared by all calls. Not for two threads at once.
class Gemm {
 public:
  /// What NVIDIA recommends for Hopper; Ampere takes what it needs of it.
  static constexpr std::int64_t workspace_bytes = std::int64_t{32} << 20;
  static constexpr std::size_t most_plans = 4096;  ///< then they are made anew: training sees ever new shapes

  explicit Gemm(Cuda device) : device_(device) {
    workspace_ = allocate_bytes(device_, workspace_bytes);
    try {
      STOFM_CUBLAS_CHECK(cublasLtCreate(&handle_));
    } catch (...) {
      release_bytes(device_, workspace_, workspace_bytes);
      throw;
    }
  }
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;
  ~Gemm() {
    plans_.clear();
    release_bytes(device_, workspace_, workspace_bytes);
    STOFM_CUDA_RELEASE(cublasLtDestroy(handle_));
  }

  /// Queues one product. The first of a shape asks the heuristic (host time, no synchronisation).
  void run(const GemmProblem& p, backend::CudaStream stream) {
    if (p.m == 0 || p.n == 0) return;
    Plan& plan = plan_of(p);
    const void* bias = p.bias;
    if (p.epilogue != GemmEpilogue::none)
      STOFM_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                        &bias, sizeof bias));
    STOFM_CUBLAS_CHECK(cublasLtMatmul(handle_, plan.operation, &p.alpha, p.b, plan.a, p.a, plan.b, &p.beta,
                                      p.d, plan.d, p.d, plan.d, &plan.algorithm, workspace_,
                                      static_cast<std::size_t>(workspace_bytes),
                                      static_cast<cudaStream_t>(stream.handle)));
  }

 private:
  struct Plan {
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
    cublasLtMatmulAlgo_t algorithm{};

    Plan() = default;
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;
    ~Plan() {
      if (d != nullptr) STOFM_CUDA_RELEASE(cublasLtMatrixLayoutDestroy(d));
      if (b != nullptr) STOFM_CUDA_RELEASE(cublasLtMatrixLayoutDestroy(b));
      if (a != nullptr) STOFM_CUDA_RELEASE(cublasLtMatrixLayoutDestroy(a));
      if (operation != nullptr) STOFM_CUDA_RELEASE(cublasLtMatmulDescDestroy(operation));
    }
  };
  /// Everything that the choice of an algorithm depends on; whether beta is 0 and how the pointers are
  /// aligned (16 bytes: vector loads) included.
  using Key = std::tuple<GemmForm, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                         std::int64_t, GemmElement, GemmElement, bool, GemmEpilogue, bool, std::uint32_t>;

  static std::uint32_t alignment(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    for (std::uint32_t bytes = 16; bytes > 1; bytes /= 2)
      if (address % bytes == 0) return bytes;
    return 1;
  }
  static cudaDataType_t type_of(GemmElement element) {
    return element == GemmElement::float32 ? CUDA_R_32F : CUDA_R_16BF;
  }
  template <class Value>
  static void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                  const Value& value) {
    STOFM_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value));
  }
  static cublasLtMatrixLayout_t layout(GemmElement type, std::int64_t rows, std::int64_t columns,
                                       std::int64_t stride) {
    cublasLtMatrixLayout_t result = nullptr;
    STOFM_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&result, type_of(type), static_cast<std::uint64_t>(rows),
                                                  static_cast<std::uint64_t>(columns), stride));
    return result;
  }

  Plan& plan_of(const GemmProblem& p) {
    const std::uint32_t least_a = alignment(p.a), least_b = alignment(p.b), least_d = alignment(p.d);
    const Key key{p.form,
                  p.m,
                  p.n,
                  p.k,
                  p.stride_a,
                  p.stride_b,
                  p.stride_d,
                  p.operands,
                  p.result,
                  p.tf32,
                  p.epilogue,
                  p.beta != 0.0F,
                  (least_a << 16) | (least_b << 8) | least_d};
    if (plans_.size() >= most_plans && plans_.find(key) == plans_.end()) plans_.clear();
    auto& slot = plans_[key];
    if (!slot) {
      auto made = std::make_unique<Plan>();
      build(*made, p, least_a, least_b, least_d);
      slot = std::move(made);
    }
    return *slot;
  }

  void build(Plan& plan, const GemmProblem& p, std::uint32_t least_a, std::uint32_t least_b,
             std::uint32_t least_d) const {
    const bool tf32 = p.tf32 && p.operands == GemmElement::float32;
    STOFM_CUBLAS_CHECK(cublasLtMatmulDescCreate(
        &plan.operation, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    // cuBLAS' A is our B, its B our A; both are read as the transposes of what is stored.
    set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, p.form == GemmForm::nt ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, p.form == GemmForm::tn ? CUBLAS_OP_T : CUBLAS_OP_N);
    const cublasLtEpilogue_t epilogue = p.epilogue == GemmEpilogue::bias        ? CUBLASLT_EPILOGUE_BIAS
                                        : p.epilogue == GemmEpilogue::bias_relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                                                                : CUBLASLT_EPILOGUE_DEFAULT;
    set(plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (p.epilogue != GemmEpilogue::none)  // the heuristic may ask for it; `run` sets that of each call
      set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    plan.a = p.form == GemmForm::nt ? layout(p.operands, p.k, p.n, p.stride_b)
                                    : layout(p.operands, p.n, p.k, p.stride_b);
    plan.b = p.form == GemmForm::tn ? layout(p.operands, p.m, p.k, p.stride_a)
                                    : layout(p.operands, p.k, p.m, p.stride_a);
    plan.d = layout(p.result, p.n, p.m, p.stride_d);

    struct PreferenceDeleter {
      void operator()(cublasLtMatmulPreference_t preference) const {
        STOFM_CUDA_RELEASE(cublasLtMatmulPreferenceDestroy(preference));
      }
    };
    cublasLtMatmulPreference_t raw = nullptr;
    STOFM_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&raw));
    const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, PreferenceDeleter> preference(
        raw);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      STOFM_CUBLAS_CHECK(
          cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(workspace_bytes));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, least_b);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, least_a);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, least_d);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, least_d);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(  // unchecked: just below
        handle_, plan.operation, plan.a, plan.b, plan.d, plan.d, preference.get(), 1, &found, &count);
    if (status != CUBLAS_STATUS_SUCCESS || count == 0)
      throw DeviceError({"STOFM-6050", "", "[gemm]",
                         concat("no algorithm of cuBLASLt for m ", p.m, ", n ", p.n, ", k ", p.k,
                                p.operands == GemmElement::bfloat16 ? ", bfloat16" : ", float32", " (status ",
                                static_cast<int>(status), ")"),
                         "one for this shape and these types",
                         "Try --precision float32, or another version of cuBLAS."});
    plan.algorithm = found.algo;
  }

  Cuda device_;
  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace stofm::kernels
