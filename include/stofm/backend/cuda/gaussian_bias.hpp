// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The distance bias on a CUDA device: the Gaussian network at every distinct distance, and the way between
/// distances and listed pairs. With a = round(round(w d) + b), s_k = |sigma_k| + 1e-5:
///   psi_k = exp(-((a - mu_k) / s_k)^2 / 2) / (sqrt(2 pi) s_k),  Phi(d) = W2 relu(W1 psi + b1) + b2,  Phi(0)
///   = 0 bias of entry e: Phi(distance of e) - Phi(far),  background: Phi(far).
/// *Source* SPEC section 5; gradients as in model/distance_bias/gaussian_training.hpp,
/// model/distance_bias/distance_bias_training.hpp. Declared here, defined by the kernel library. Pointers are
/// device memory unless said. Nothing here allocates or waits. *Deterministic*: partial sums per block, added
/// in the order of the blocks; no atomics.

#include <cstdint>

#include "stofm/backend/cuda/precision.hpp"
#include "stofm/backend/cuda/stream.hpp"

namespace stofm::backend {

/// Most Gaussians (and hidden units) and heads that have a kernel.
inline constexpr std::int64_t max_gaussians = 128;
inline constexpr std::int64_t max_gaussian_heads = 64;

/// gaussian.* of a model, float32, dense.
struct GaussianWeights {
  std::int64_t gaussians = 0;                     ///< K, 1 to 128
  std::int64_t heads = 0;                         ///< H, 1 to 64
  const float *w = nullptr, *b = nullptr;         ///< one number each
  const float *means = nullptr, *stds = nullptr;  ///< [K]
  const float *w1 = nullptr, *b1 = nullptr;       ///< [K, K], [K]
  const float *w2 = nullptr, *b2 = nullptr;       ///< [H, K], [H]
};

/// Where their gradients are added.
struct GaussianWeightGradients {
  float *w = nullptr, *b = nullptr, *means = nullptr, *stds = nullptr;
  float *w1 = nullptr, *b1 = nullptr, *w2 = nullptr, *b2 = nullptr;
};

/// phi [count, H] of distances [count]. *Cost* 2 K^2 FLOP a distance. \throws UsageError STOFM-6052 for sizes
/// without a kernel.
void gaussian_bias_forward(CudaStream stream, const GaussianWeights& weights, const float* distances,
                           std::int64_t count, float* phi);

/// Bytes of the workspace of backward.
std::int64_t gaussian_bias_backward_bytes(std::int64_t gaussians, std::int64_t heads, std::int64_t count);
/// Adds the gradients from grad_phi [count, H]; distance 0 gets none. *Cost* 6 K^2 FLOP a distance.
void gaussian_bias_backward(CudaStream stream, const GaussianWeights& weights, const float* distances,
                            std::int64_t count, const float* grad_phi, const GaussianWeightGradients& into,
                            void* workspace);

/// Listed pairs and their distances: entry e has distance number `distance_of[e]`. The last of the `count`
/// distances is the far one (100), of every pair that is not listed; listed pairs may have it too.
struct DistanceEntries {
  std::int64_t count = 0;                     ///< D + 1 distances
  std::int64_t entries = 0;                   ///< E
  const std::int32_t* distance_of = nullptr;  ///< [E]; forward; null: entry e has distance e
  const std::int32_t* offsets = nullptr;  ///< [D + 1] into `order`: those of each distance but the far one
  const std::int32_t* order = nullptr;    ///< [offsets[D]] entries by distance; backward
};

/// values [heads, E] and background [heads] from phi [count, heads].
void distance_bias_values(CudaStream stream, const DistanceEntries& entries, std::int64_t heads,
                          const float* phi, float* values, float* background);

/// Bytes of the workspace of the gradient.
std::int64_t distance_bias_gradient_bytes(std::int64_t heads, std::int64_t count);
/// grad_phi [count, heads] (written) from grad_values [heads, E] and grad_background [heads] (null: zeros): a
/// distance takes the sum over its entries, the far one grad_background minus the sum of all of them.
void distance_bias_gradient(CudaStream stream, const DistanceEntries& entries, std::int64_t heads,
                            const float* grad_values, const float* grad_background, float* grad_phi,
                            void* workspace);

}  // namespace stofm::backend
