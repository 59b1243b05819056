// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a runner tells of the CUDA graphs it launches its kernels by.

#include <cstdint>

#include "stofm/core/notice.hpp"

namespace stofm::backend {

struct CudaGraphUse {
  std::int64_t captured = 0;  ///< graphs made
  std::int64_t replayed = 0;  ///< queues of kernels that were one launch
  Notices notices;            ///< at most one, STOFM-W6001: why kernels are launched one by one from then on
};

}  // namespace stofm::backend
