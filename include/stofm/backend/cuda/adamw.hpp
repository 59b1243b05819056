// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA optimizer: all parameters in one launch. Formulas and source: nn/adamw.hpp,
/// nn/clip_gradients.hpp. Queued on `current_stream(device)`.

#include <cstdint>
#include <span>

#include "stofm/backend/cuda/stream.hpp"

namespace stofm::backend {

/// One parameter in device memory, `count` dense elements each.
struct CudaParameter {
  float* value = nullptr;
  float* m = nullptr;
  float* v = nullptr;
  float* grad = nullptr;
  std::int64_t count = 0;
  bool decays = true;
  std::int64_t step = 1;  ///< number of this step, from 1
};

/// The numbers of a step that all parameters share.
struct CudaAdamWOptions {
  double learning_rate = 1e-4;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;  ///< as nn::AdamWOptions
  double gradient_factor = 1.0;  ///< on the gradients, before all else
  bool clear_gradients = false;  ///< set them to zero in the same pass
};

/// One AdamW step. At most 16 different (decays, step) among the parameters. *Deterministic*, the bits of the
/// CPU. *Cost* 28 bytes an element. \throws UsageError STOFM-1510 for more than 16.
void adamw_step(Cuda device, std::span<const CudaParameter> parameters, const CudaAdamWOptions& options);

/// sqrt(sum of squares of all gradients), in double; waits for the device. *Deterministic*.
double global_norm(Cuda device, std::span<const CudaParameter> parameters);

}  // namespace stofm::backend
