// SPDX-License-Identifier: MIT
#include "bench/kernels/kmeans_gpu_bench_baseline.hpp"

#include <cublas_v2.h>
#include <thrust/device_vector.h>
#include <thrust/sequence.h>

#include <cub/cub.cuh>
#include <stdexcept>

namespace stofm::bench {

namespace {

constexpr std::int64_t rows_at_once = 32768, rows_per_sum = 1024;

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

__global__ void squared_norms(const float* centres, float* norms, std::int64_t d) {
  float sum = 0;
  for (std::int64_t j = threadIdx.x; j < d; j += 32)
    sum += centres[blockIdx.x * d + j] * centres[blockIdx.x * d + j];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, offset);
  if (threadIdx.x == 0) norms[blockIdx.x] = sum;
}

/// A warp per row: the lowest of |c|^2 - 2 x.c.
__global__ void lowest_scores(const float* products, const float* norms, std::int32_t* labels, std::int64_t n,
                              std::int64_t k) {
  const std::int64_t row = std::int64_t(blockIdx.x) * 8 + threadIdx.x / 32;
  if (row >= n) return;
  cub::KeyValuePair<int, float> best(0, 3.4e38F);
  for (std::int64_t c = threadIdx.x % 32; c < k; c += 32) {
    const float score = norms[c] - 2.0F * products[row * k + c];
    if (score < best.value) best = {static_cast<int>(c), score};
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    const float score = __shfl_xor_sync(0xffffffffU, best.value, offset);
    const int centre = __shfl_xor_sync(0xffffffffU, best.key, offset);
    if (score < best.value || (score == best.value && centre < best.key)) best = {centre, score};
  }
  if (threadIdx.x % 32 == 0) labels[row] = best.key;
}

/// Sums of up to 1,024 sorted rows of a cluster, a thread per column.
__global__ void sums_of_stretches(const float* rows, const std::int32_t* order, const std::int64_t* offsets,
                                  float* sums, std::int64_t d, std::int64_t stretches) {
  const std::int64_t cluster = blockIdx.x / stretches, stretch = blockIdx.x % stretches;
  const std::int64_t begin = offsets[cluster] + stretch * rows_per_sum;
  const std::int64_t end = min(begin + rows_per_sum, offsets[cluster + 1]);
  for (std::int64_t j = threadIdx.x; j < d; j += blockDim.x) {
    float sum = 0;
#pragma unroll 8
    for (std::int64_t e = begin; e < end; ++e) sum += rows[order[e] * d + j];
    if (begin < end) atomicAdd(&sums[cluster * d + j], sum);
  }
}

__global__ void means(const float* sums, const std::int64_t* offsets, float* centres, std::int64_t d) {
  const std::int64_t cluster = blockIdx.x, count = offsets[cluster + 1] - offsets[cluster];
  for (std::int64_t j = threadIdx.x; count > 0 && j < d; j += blockDim.x)
    centres[cluster * d + j] = sums[cluster * d + j] / static_cast<float>(count);
}

__global__ void first_places(const std::int32_t* sorted, std::int64_t* offsets, std::int64_t n,
                             std::int64_t k) {
  const std::int64_t cluster = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (cluster > k) return;
  std::int64_t low = 0, high = n;  // the first row whose label is not below
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (sorted[middle] < cluster)
      low = middle + 1;
    else
      high = middle;
  }
  offsets[cluster] = low;
}

}  // namespace

struct ComposedKMeans::Memory {
  std::int64_t n, d, k;
  cudaStream_t stream;
  cublasHandle_t cublas = nullptr;
  thrust::device_vector<float> products, norms, sums;
  thrust::device_vector<std::int32_t> rows, order, sorted;
  thrust::device_vector<std::int64_t> offsets;
  thrust::device_vector<unsigned char> sort_memory;
  std::size_t sort_bytes = 0;
  int bits = 1;
};

ComposedKMeans::ComposedKMeans(std::int64_t n, std::int64_t d, std::int64_t k, void* stream)
    : memory_(new Memory{n, d, k, static_cast<cudaStream_t>(stream)}) {
  Memory& m = *memory_;
  const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
  m.products.resize(size(rows_at_once * k));
  m.norms.resize(size(k));
  m.sums.resize(size(k * d));
  m.rows.resize(size(n));
  m.order.resize(size(n));
  m.sorted.resize(size(n));
  m.offsets.resize(size(k + 1));
  thrust::sequence(m.rows.begin(), m.rows.end());
  while ((std::int64_t{1} << m.bits) < k) ++m.bits;
  require(cub::DeviceRadixSort::SortPairs(nullptr, m.sort_bytes, m.sorted.data().get(), m.sorted.data().get(),
                                          m.rows.data().get(), m.order.data().get(), n, 0, m.bits,
                                          m.stream) == cudaSuccess,
          "CUB");
  m.sort_memory.resize(m.sort_bytes);
  require(cublasCreate(&m.cublas) == CUBLAS_STATUS_SUCCESS, "cuBLAS");
  require(cublasSetStream(m.cublas, m.stream) == CUBLAS_STATUS_SUCCESS, "cuBLAS");
}

ComposedKMeans::~ComposedKMeans() { (void)cublasDestroy(memory_->cublas); }

void ComposedKMeans::step(const float* rows, float* centres, std::int32_t* labels, bool tf32) {
  Memory& m = *memory_;
  const auto blocks = [](std::int64_t items, std::int64_t per_block) {
    return static_cast<unsigned>((items + per_block - 1) / per_block);
  };
  squared_norms<<<blocks(m.k, 1), 32, 0, m.stream>>>(centres, m.norms.data().get(), m.d);
  const float one = 1, zero = 0;
  for (std::int64_t first = 0; first < m.n; first += rows_at_once) {
    const std::int64_t count = m.n - first < rows_at_once ? m.n - first : rows_at_once;
    require(cublasGemmEx(m.cublas, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(m.k), static_cast<int>(count),
                         static_cast<int>(m.d), &one, centres, CUDA_R_32F, static_cast<int>(m.d),
                         rows + first * m.d, CUDA_R_32F, static_cast<int>(m.d), &zero,
                         m.products.data().get(), CUDA_R_32F, static_cast<int>(m.k),
                         tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                         CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS,
            "cuBLAS");
    lowest_scores<<<blocks(count, 8), 256, 0, m.stream>>>(m.products.data().get(), m.norms.data().get(),
                                                          labels + first, count, m.k);
  }
  require(cub::DeviceRadixSort::SortPairs(m.sort_memory.data().get(), m.sort_bytes, labels,
                                          m.sorted.data().get(), m.rows.data().get(), m.order.data().get(),
                                          m.n, 0, m.bits, m.stream) == cudaSuccess,
          "CUB");
  first_places<<<blocks(m.k + 1, 128), 128, 0, m.stream>>>(m.sorted.data().get(), m.offsets.data().get(), m.n,
                                                           m.k);
  (void)cudaMemsetAsync(m.sums.data().get(), 0, m.sums.size() * sizeof(float), m.stream);
  // As many stretches as the largest cluster could need would be mostly empty; four times the average is
  // ample here.
  const std::int64_t stretches = 4 * (m.n / m.k / rows_per_sum + 1);
  sums_of_stretches<<<blocks(m.k * stretches, 1), 256, 0, m.stream>>>(
      rows, m.order.data().get(), m.offsets.data().get(), m.sums.data().get(), m.d, stretches);
  means<<<blocks(m.k, 1), 256, 0, m.stream>>>(m.sums.data().get(), m.offsets.data().get(), centres, m.d);
  require(cudaGetLastError() == cudaSuccess, "launch");
}

}  // namespace stofm::bench
