// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The squares of a slice (pipeline/split_cells.hpp): which square each cell is in, by the comparisons of the
/// definition with the CPU's roundings; the host chose the grid from the bounding box. Cells are then sorted
/// by (column, row), stable, so that each square has its cells in ascending order. Limiter: bytes, 16 read
/// and 12 written a cell.

#include "stofm/kernels/knn_2d/bounding_box.cuh"

namespace stofm::kernels::sub_slices {

/// Squares along one side: [low + i step, low + (i + 1) step), i < count. One square if step is 0.
struct Axis {
  double low = 0, step = 0;
  std::int64_t count = 1;
};

/// As pipeline::detail::SquareAxis::index_of.
__device__ __forceinline__ std::int64_t square_of(const Axis& axis, double v) {
  if (!(axis.step > 0)) return 0;
  auto i = static_cast<std::int64_t>(floor(rounded_add(v, -axis.low) / axis.step));
  i = minimum(maximum<std::int64_t>(i, 0), axis.count - 1);
  const auto border = [&axis](std::int64_t at) {
    return rounded_add(axis.low, rounded_multiply(static_cast<double>(at), axis.step));
  };
  while (i > 0 && v < border(i)) --i;
  while (i + 1 < axis.count && v >= border(i + 1)) ++i;
  return i;
}

struct SquareParams {
  const double* xy;      // [n, 2]
  std::uint64_t* keys;   // [n] column * rows + row
  std::uint32_t* cells;  // [n] 0, 1, ...
  std::int64_t n;
  Axis x, y;
};
/// Grid: a thread per cell.
template <class T>
static __global__ void squares_of_cells(const SquareParams p) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.n) return;
  p.keys[i] =
      static_cast<std::uint64_t>(square_of(p.x, p.xy[2 * i]) * p.y.count + square_of(p.y, p.xy[2 * i + 1]));
  p.cells[i] = static_cast<std::uint32_t>(i);
}

}  // namespace stofm::kernels::sub_slices
