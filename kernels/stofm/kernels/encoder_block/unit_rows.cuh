// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows of length 1: y_i = x_i / ||x_i||, zeros stay zeros. A warp owns a row and reads it twice. No shared
/// memory. Deterministic. Limited by bytes: 8 read (the second time from cache), 4 written per element. The
/// squares are summed after division by the row's largest magnitude, so that no finite row overflows.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/warp.cuh"
#include "stofm/kernels/encoder_block/policy.hpp"

namespace stofm::kernels {

struct UnitRowsParams {
  const float* x = nullptr;  // [rows, columns] dense
  float* y = nullptr;        // [rows, columns] dense; may be x
  std::int64_t rows = 0, columns = 0;
};

static __global__ void unit_rows_kernel(const UnitRowsParams p) {
  const std::int64_t row = std::int64_t(blockIdx.x) * encoder_block::RowPolicy::warps + warp();
  if (row >= p.rows) return;  // whole warps
  const float* const x = p.x + row * p.columns;
  float largest = 0.0F;
  bool is_number = true;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    largest = maximum(largest, fabsf(x[j]));
    is_number = is_number && x[j] == x[j];
  }
  largest = warp_max(largest);
  is_number = ballot(is_number) == all_lanes;
  float sum = 0.0F;
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const float part = largest > 0.0F ? x[j] / largest : 0.0F;
    sum += part * part;
  }
  const float norm = sqrtf(warp_sum(sum));
  for (std::int64_t j = lane(); j < p.columns; j += warp_size) {
    const float unit = largest > 0.0F ? x[j] / largest / norm : 0.0F;
    p.y[row * p.columns + j] = is_number ? unit : NAN;
  }
}

inline void launch_unit_rows(const UnitRowsParams& params, backend::CudaStream stream) {
  using Policy = encoder_block::RowPolicy;
  launch(unit_rows_kernel,
         per_row<Policy>(params.rows, stream, "unit_rows"),
         params);
}

}  // namespace stofm::kernels
