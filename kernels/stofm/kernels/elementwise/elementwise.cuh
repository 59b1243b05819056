// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Numbers one by one: conversion between float and bfloat16, and dropout y = x keep factor, keep drawn from
/// a key and the index of the element (core/random_key.hpp: the bits of the CPU). Conversion: a block owns
/// 1,024 elements, a thread every 256th. Dropout: a thread owns 8 elements, the keep bits of one Philox
/// block. *Limiter* bytes: 6 an element; dropout 8, and 10 rounds of Philox for 8 elements.

#include "stofm/kernels/common/dropout.cuh"
#include "stofm/kernels/common/launch.cuh"

namespace stofm::kernels {

struct ElementwisePolicy {
  static constexpr int threads = 256;
  static constexpr int conversions = 1024;  ///< elements of a block
  static constexpr int dropouts = 8 * threads;
};

template <class To, class From>
struct ConvertParams {
  To* y;
  const From* x;
  std::int64_t count;
};

template <class Policy, class To, class From>
static __global__ void __launch_bounds__(Policy::threads) convert_elements(const ConvertParams<To, From> p) {
  const std::int64_t begin = std::int64_t{blockIdx.x} * Policy::conversions;
  const std::int64_t end = minimum<std::int64_t>(p.count, begin + Policy::conversions);
  for (std::int64_t i = begin + threadIdx.x; i < end; i += Policy::threads)
    p.y[i] = from_float<To>(to_float(p.x[i]));
}

struct DropoutElementsParams {
  float* y;
  const float* x;  ///< may be y
  std::int64_t count;
  DropoutParams dropout;
};

template <class Policy>
static __global__ void __launch_bounds__(Policy::threads) dropout_elements(const DropoutElementsParams p) {
  const std::int64_t block = std::int64_t{blockIdx.x} * Policy::threads + threadIdx.x;
  const std::int64_t begin = block * 8, end = minimum<std::int64_t>(p.count, begin + 8);
  if (begin >= p.count) return;
  const std::uint32_t bits = keep_bits(p.dropout, static_cast<std::uint64_t>(block));
  for (std::int64_t i = begin; i < end; ++i)
    p.y[i] = ((bits >> (i - begin)) & 1U) != 0 ? p.x[i] * p.dropout.factor : 0.0F;
}

template <class To, class From, class Policy = ElementwisePolicy>
void launch_convert(const ConvertParams<To, From>& params, CudaStream stream) {
  launch(convert_elements<Policy, To, From>,
         {.grid = {blocks(params.count, Policy::conversions)},
          .block = {Policy::threads},
          .stream = stream,
          .name = "convert"},
         params);
}
template <class Policy = ElementwisePolicy>
void launch_dropout(const DropoutElementsParams& params, CudaStream stream) {
  launch(dropout_elements<Policy>,
         {.grid = {blocks(params.count, Policy::dropouts)},
          .block = {Policy::threads},
          .stream = stream,
          .name = "dropout"},
         params);
}

}  // namespace stofm::kernels
