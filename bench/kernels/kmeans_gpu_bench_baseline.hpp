// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A full step of k-means from cuBLAS and CUB: what our kernels are measured against.

#include <cstdint>
#include <memory>

namespace stofm::bench {

/// Scores by a matrix product (32,768 rows at a time, so that they stay in L2), the lowest of each row, a
/// radix sort of the rows by label, sums of the sorted rows. Float32 sums, ties as they come.
class ComposedKMeans {
 public:
  ComposedKMeans(std::int64_t n, std::int64_t d, std::int64_t k, void* stream);
  ~ComposedKMeans();
  ComposedKMeans(const ComposedKMeans&) = delete;
  ComposedKMeans& operator=(const ComposedKMeans&) = delete;
  /// Queues a step on device memory. `tf32`: the product on tensor cores, with 10 bits of mantissa.
  void step(const float* rows, float* centres, std::int32_t* labels, bool tf32);

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace stofm::bench
