// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parameters of a trainer in host memory, and its gradients as one buffer on the device, so that processes
/// can sum them there.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "stofm/backend/cuda/stream.hpp"

namespace stofm::backend {

/// One parameter with its moments in host memory.
struct CudaParameterState {
  std::string name;                             ///< as the lists of the trainer's model say
  bool decays = true;                           ///< as nn::decays_by_name says
  std::span<float> value = {}, m = {}, v = {};  ///< m and v empty: zeros
  std::int64_t steps = 0;                       ///< updates so far
};

struct CudaGradients {
  CudaStream stream;        ///< what computes them
  float* values = nullptr;  ///< [borders.back()] on the device
  /// Ascending, from 0: backward finishes the stretches between them one by one, from the last to the first.
  /// They depend on the sizes of the model alone.
  std::vector<std::int64_t> borders = {};
};

/// What a trainer calls while it queues a backward pass: the gradients from `from` on, a border, are final
/// once what is queued on the stream by now is done.
using GradientsReady = std::function<void(std::int64_t from)>;

}  // namespace stofm::backend
