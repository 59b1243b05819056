// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One AdamW step of all parameters in one launch (formula and source: nn/adamw.hpp):
///     g <- factor g,  m <- m + (1 - beta1)(g - m),  v <- beta2 v + (1 - beta2) g^2
///     x <- keep x - size m / (sqrt(v) / root + epsilon)
/// A block owns a piece (at most 16,384 elements of one parameter), a thread every 256th element of it. Every
/// operation is rounded by itself in the order of the CPU code, so the bits are the CPU's. No shared memory,
/// no barrier. *Limiter* bytes: 16 read, 12 written an element (16 with cleared gradients).

#include <cmath>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/adamw.hpp"
#include "stofm/kernels/optimizer/policy.hpp"
#include "stofm/kernels/runtime/memory.cuh"

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

/// The numbers of step `t` (from 1) with these options, as nn::AdamW rounds them.
inline AdamWNumbers adamw_numbers(double learning_rate, double beta1, double beta2, double epsilon,
                                  double weight_decay, std::int64_t t) {
  const auto steps = static_cast<double>(t);
  return {static_cast<float>(1.0 - learning_rate * weight_decay),
          static_cast<float>(1.0 - beta1),
          static_cast<float>(beta2),
          static_cast<float>(1.0 - beta2),
          static_cast<float>(learning_rate / (1.0 - std::pow(beta1, steps))),
          static_cast<float>(std::sqrt(1.0 - std::pow(beta2, steps))),
          static_cast<float>(epsilon)};
}

/// Pieces are cut and copied to the device at each call.
inline DeviceArray<ParameterPiece> pieces_to_device(Cuda device, const std::vector<ParameterPiece>& pieces) {
  DeviceArray<ParameterPiece> array(device, static_cast<std::int64_t>(pieces.size()));
  if (pieces.empty()) return array;
  STOFM_CUDA_CHECK(cudaMemcpyAsync(array.data(), pieces.data(), pieces.size() * sizeof(ParameterPiece),
                                   cudaMemcpyHostToDevice, native(thread_stream(device))));
  return array;
}

inline void adamw_step(Cuda device, std::span<const backend::CudaParameter> parameters,
                       const backend::CudaAdamWOptions& options) {
  AdamWParams params{};
  params.factor = static_cast<float>(options.gradient_factor);
  params.clear_gradients = options.clear_gradients;
  std::map<std::pair<bool, std::int64_t>, std::int64_t> groups;
  std::vector<ParameterPiece> pieces;
  for (const backend::CudaParameter& parameter : parameters) {
    const auto next = static_cast<std::int64_t>(groups.size());
    const auto [group, is_new] = groups.try_emplace({parameter.decays, parameter.step}, next);
    if (is_new) {
      if (next == AdamWParams::groups)
        throw UsageError({"STOFM-1510", "", "[adamw]", "parameters with more than 16 different step counts",
                          "at most 16", "Step them in several calls."});
      params.numbers[next] =
          adamw_numbers(options.learning_rate, options.beta1, options.beta2, options.epsilon,
                        parameter.decays ? options.weight_decay : 0.0, parameter.step);
    }
    append_pieces(
        pieces, {parameter.value, parameter.m, parameter.v, parameter.grad, parameter.count, group->second});
  }
  const DeviceArray<ParameterPiece> table = pieces_to_device(device, pieces);
  params.pieces = table.data();
  launch(adamw_update<OptimizerPolicy>,
         {.grid = {blocks(table.size())},
          .block = {OptimizerPolicy::threads},
          .stream = thread_stream(device),
          .name = "adamw"},
         params);
}

}  // namespace stofm::kernels
