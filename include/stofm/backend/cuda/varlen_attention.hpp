// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declaration of CUDA attention over packed sequences (see ops/varlen_attention.hpp); queued on
/// `current_stream(device)`. The offsets are host memory.

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

void varlen_attention(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> q,
                      TensorView<const float, Cuda> k, TensorView<const float, Cuda> v,
                      std::span<const std::int64_t> query_offsets, std::span<const std::int64_t> key_offsets,
                      AttentionOptions options);

}  // namespace stofm::backend
