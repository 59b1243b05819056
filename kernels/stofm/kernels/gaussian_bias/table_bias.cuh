// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A value of the table of the distance bias, in device code.

#include "stofm/backend/cuda/bias_table.hpp"
#include "stofm/kernels/common/copy.cuh"

namespace stofm::kernels {

/// Phi - background of one head at a place.
__device__ __forceinline__ float table_bias(const backend::PairBiasTable& table, backend::BiasPlace place,
                                            std::int64_t heads, std::int64_t head) {
  const float4 c = load4(table.coefficients + (place.row * heads + head) * 4);
  return c.x + place.t * (c.y + place.t * (c.z + place.t * c.w)) - table.background[head];
}

}  // namespace stofm::kernels
