// SPDX-License-Identifier: MIT
#include "bench/kernels/cell_encoder_gpu_bench_baseline.hpp"

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <stdexcept>

namespace stofm::bench {

static void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

struct LayerProducts::Memory {
  std::int64_t tokens, width, wide;
  cublasHandle_t handle = nullptr;
  __nv_bfloat16 *x = nullptr, *y = nullptr, *w = nullptr;

  Memory(std::int64_t t, std::int64_t narrow, std::int64_t broad, void* stream)
      : tokens(t), width(narrow), wide(broad) {
    const std::int64_t most = 3 * width > wide ? 3 * width : wide;
    const auto take = [](__nv_bfloat16** to, std::int64_t count) {
      const auto bytes = static_cast<std::size_t>(count) * sizeof(__nv_bfloat16);
      require(cudaMalloc(reinterpret_cast<void**>(to), bytes) == cudaSuccess &&
                  cudaMemset(*to, 0, bytes) == cudaSuccess,
              "no memory for the baseline");
    };
    take(&x, tokens * most);
    take(&y, tokens * most);
    take(&w, most * most);
    require(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS &&
                cublasSetStream(handle, static_cast<cudaStream_t>(stream)) == CUBLAS_STATUS_SUCCESS,
            "no cuBLAS");
  }
  ~Memory() {
    cublasDestroy(handle);
    cudaFree(w);
    cudaFree(y);
    cudaFree(x);
  }
  void product(std::int64_t outputs, std::int64_t inputs) {
    const float one = 1.0F, zero = 0.0F;
    const auto n = static_cast<int>(outputs), k = static_cast<int>(inputs), m = static_cast<int>(tokens);
    require(cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, n, m, k, &one, w, CUDA_R_16BF, k, x, CUDA_R_16BF,
                         k, &zero, y, CUDA_R_16BF, n, CUBLAS_COMPUTE_32F,
                         CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS,
            "a product of the baseline failed");
  }
};

LayerProducts::LayerProducts(std::int64_t tokens, std::int64_t width, std::int64_t wide, void* stream)
    : memory_(new Memory(tokens, width, wide, stream)) {}
LayerProducts::~LayerProducts() = default;
void LayerProducts::layer() {
  Memory& m = *memory_;
  m.product(3 * m.width, m.width);
  m.product(m.width, m.width);
  m.product(m.wide, m.width);
  m.product(m.width, m.wide);
}
double LayerProducts::flop() const {
  const Memory& m = *memory_;
  const auto w = static_cast<double>(m.width), f = static_cast<double>(m.wide);
  return 2.0 * static_cast<double>(m.tokens) * (4.0 * w * w + 2.0 * w * f);
}

}  // namespace stofm::bench
