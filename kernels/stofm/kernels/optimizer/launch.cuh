// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the optimizer.

#include <cmath>

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/optimizer/adamw_update.cuh"
#include "stofm/kernels/optimizer/global_norm.cuh"

namespace stofm::kernels {

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

/// Queues one kernel over `piece_count` pieces.
template <class Policy = OptimizerPolicy>
void launch_adamw(const AdamWParams& params, std::int64_t piece_count, CudaStream stream) {
  launch(adamw_update<Policy>,
         {.grid = {blocks(piece_count)}, .block = {Policy::threads}, .stream = stream, .name = "adamw"},
         params);
}

/// Queues two kernels; the result is on the device.
template <class Policy = OptimizerPolicy>
void launch_global_norm(const GlobalNormParams& params, CudaStream stream) {
  const LaunchConfig config{.grid = {blocks(params.piece_count)},
                            .block = {Policy::threads},
                            .shared_bytes = sizeof(GlobalNormStorage<Policy>),
                            .stream = stream,
                            .name = "global_norm"};
  launch(gradient_squares<Policy>, config, params);
  LaunchConfig last = config;
  last.grid = {1};
  launch(finish_global_norm<Policy>, last, params);
}

}  // namespace stofm::kernels
