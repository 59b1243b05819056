// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA ops on single numbers: conversion and dropout; queued on
/// `current_stream(device)`. All arrays are dense, in device memory.

#include <cstdint>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/core/scalar.hpp"

namespace stofm::backend {

/// Rounded to nearest, ties to even.
void convert(Cuda device, bfloat16* y, const float* x, std::int64_t count);
/// Exact.
void convert(Cuda device, float* y, const bfloat16* x, std::int64_t count);

/// y = x * keep * factor, element e drawn as element e of the mask: the bits of the CPU. y may be x. The
/// gradient is the same call on grad_y.
void dropout(Cuda device, float* y, const float* x, std::int64_t count, const DropoutMask& mask,
             float factor);

}  // namespace stofm::backend
