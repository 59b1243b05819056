// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Dropout of packed rows: every sub-slice of a batch has a mask of its own, numbered from its first row, so
/// that its bits are those of the sub-slice alone on the CPU (core/random_key.hpp): element (row - first) *
/// columns + column of the mask whose key belongs to the row's sub-slice.

#include "stofm/kernels/encoder_block/row_registers.cuh"

namespace stofm::kernels::se2 {

struct PackedDropout {
  const std::uint32_t* keys = nullptr;         // [slices, 4] DropoutMask::key; null: nothing is dropped
  const std::int32_t* row_slice = nullptr;     // [rows]
  const std::int32_t* node_offsets = nullptr;  // [slices + 1]
  std::uint32_t threshold = 0;
  float factor = 1.0F;
};

/// q <- q * keep * factor for columns [column, column + 4) of a row.
__device__ __forceinline__ void drop_quad(const PackedDropout& dropout, std::int64_t row,
                                          std::int64_t columns, std::int64_t column, Quad& q) {
  if (dropout.keys == nullptr) return;
  const std::int32_t slice = dropout.row_slice[row];
  const std::uint32_t* const key = dropout.keys + 4 * std::int64_t{slice};
  const DropoutParams mask{{key[0], key[1], key[2], key[3]}, dropout.threshold, dropout.factor};
  kernels::drop_quad(mask, (row - dropout.node_offsets[slice]) * columns + column, q);
}

}  // namespace stofm::kernels::se2
