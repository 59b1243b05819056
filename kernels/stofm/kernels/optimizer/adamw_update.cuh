// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One AdamW step of all parameters in one launch (formula and source: nn/adamw.hpp):
///     g <- factor g,  m <- m + (1 - beta1)(g - m),  v <- beta2 v + (1 - beta2) g^2
///     x <- keep x - size m / (sqrt(v) / root + epsilon)
/// A block owns a piece (at most 16,384 elements of one parameter), a thread every 256th element of it. Every
/// operation is rounded by itself in the order of the CPU code, so the bits are the CPU's. No shared memory,
/// no barrier. *Limiter* bytes: 16 read, 12 written an element (16 with cleared gradients).

#include "stofm/kernels/kmeans/rounded.cuh"
#include "stofm/kernels/optimizer/policy.hpp"

namespace stofm::kernels {

/// The numbers of one step for one group of parameters: backend::AdamWStep<float>.
struct AdamWNumbers {
  float keep, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction, epsilon;
};

struct AdamWParams {
  static constexpr int groups = 16;
  const ParameterPiece* pieces;  ///< [number of blocks], device memory
  float factor;                  ///< that gradients are multiplied with
  bool clear_gradients;          ///< set them to zero behind the step
  AdamWNumbers numbers[groups];
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) adamw_update(const AdamWParams p) {
  const ParameterPiece piece = p.pieces[blockIdx.x];
  const AdamWNumbers n = p.numbers[piece.group];
  for (std::int64_t i = threadIdx.x; i < piece.count; i += Policy::threads) {
    const float g = rounded_multiply(piece.grad[i], p.factor);
    const float m0 = piece.m[i];
    const float m = rounded_add(m0, rounded_multiply(n.one_minus_beta1, rounded_add(g, -m0)));
    const float v = rounded_add(rounded_multiply(piece.v[i], n.beta2),
                                rounded_multiply(rounded_multiply(n.one_minus_beta2, g), g));
    const float denominator = rounded_add(sqrtf(v) / n.root_correction, n.epsilon);
    const float step = rounded_multiply(n.step_size, m) / denominator;
    piece.m[i] = m;
    piece.v[i] = v;
    piece.value[i] = rounded_add(rounded_multiply(piece.value[i], n.keep), -step);
    if (p.clear_gradients) piece.grad[i] = 0.0F;
  }
}

}  // namespace stofm::kernels
