// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The gradients of a trainer as one buffer on the device, so that processes can sum them there.

#include <cstdint>
#include <functional>
#include <vector>

#include "stofm/backend/cuda/stream.hpp"

namespace stofm::backend {

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
