// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Global norm of all gradients, sqrt(sum g^2), and what gradients of it are clipped with.
/// First kernel: a block sums the squares of one piece in double (a square of a float is exact there), thread
/// t its elements t, t + 256, ..., then the block in a fixed tree. Second: one block adds the pieces, thread
/// t every 256th, then the same tree. *Deterministic*; the CPU adds in another order (relative difference
/// below 1e-14). *Limiter* bytes: 4 read an element. Shared memory: 8 bytes a warp; two barriers.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/shared.cuh"
#include "stofm/kernels/optimizer/policy.hpp"

namespace stofm::kernels {

/// What the second kernel leaves on the device.
struct GradientNorm {
  double norm;
  float clip_coefficient;  ///< min(1, max_norm / (norm + 1e-6)); 1 without a limit and for a norm that is not
                           ///< finite
};

struct GlobalNormParams {
  const ParameterPiece* pieces;  ///< [piece_count]
  double* squares;               ///< [piece_count] workspace
  GradientNorm* result;
  std::int64_t piece_count;
  double max_norm;  ///< <= 0: no limit
};

template <class Policy>
struct GlobalNormStorage {
  double per_warp[Policy::threads / warp_size];
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) gradient_squares(const GlobalNormParams p) {
  auto& shared = shared_memory<GlobalNormStorage<Policy>>();
  const ParameterPiece piece = p.pieces[blockIdx.x];
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < piece.count; i += Policy::threads) {
    const double g = static_cast<double>(piece.grad[i]);
    sum += g * g;
  }
  sum = block_sum(sum, shared.per_warp);
  if (threadIdx.x == 0) p.squares[blockIdx.x] = sum;
}

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) finish_global_norm(const GlobalNormParams p) {
  auto& shared = shared_memory<GlobalNormStorage<Policy>>();
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < p.piece_count; i += Policy::threads) sum += p.squares[i];
  sum = block_sum(sum, shared.per_warp);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum);
  const double coefficient = p.max_norm / (norm + 1e-6);
  const bool clips = p.max_norm > 0.0 && coefficient < 1.0 && norm < 1.7976931348623157e308;
  *p.result = {norm, clips ? static_cast<float>(coefficient) : 1.0F};
}

}  // namespace stofm::kernels
