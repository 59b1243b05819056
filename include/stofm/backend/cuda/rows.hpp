// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the CUDA ops on rows: column sums, rows scaled to length 1, rows picked by index (see
/// ops/column_sums.hpp, ops/l2_normalize.hpp, ops/embedding.hpp, ops/scatter_rows.hpp); queued on
/// `current_stream(device)`. Matrices have dense rows. All *deterministic*.

#include <cstdint>
#include <span>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// sums[j] += sum_i x[i, j], in double. sums: [N] on the device.
void add_column_sums(Cuda device, float* sums, TensorView<const float, Cuda> x);

/// y_i = x_i / ||x_i||, zeros stay zeros; y may be x.
void l2_normalize_rows(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x);
/// Of x, not of y; grad_x may be grad_y or x.
void l2_normalize_rows_gradient(Cuda device, TensorView<float, Cuda> grad_x,
                                TensorView<const float, Cuda> grad_y, TensorView<const float, Cuda> x);

/// y[i, :] = table[indices[i], :], or added to y. `indices` in host memory, in the table (not checked here).
void gather_rows(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> table,
                 std::span<const std::int32_t> indices, bool accumulate);
/// table[indices[i], :] += x[i, :] in the order of i: the bits of the CPU.
void scatter_add_rows(Cuda device, TensorView<float, Cuda> table, TensorView<const float, Cuda> x,
                      std::span<const std::int32_t> indices);

}  // namespace stofm::backend
