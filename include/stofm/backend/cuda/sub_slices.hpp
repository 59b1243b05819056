// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of the pieces of a slice on a CUDA device (see pipeline/split_cells.hpp and
/// pipeline/sub_slices.hpp, whose answers these are, bit by bit); defined in the kernel library.

#include <cstdint>
#include <span>
#include <vector>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// Cells of the pieces one after the other: piece p is cells[offsets[p]] .. cells[offsets[p + 1]].
struct SlicePieces {
  std::vector<std::int64_t> offsets{0};  ///< [pieces + 1]
  std::vector<std::int64_t> cells;       ///< [N], ascending within a piece
};

/// Squares of a slice, as split_cells(). `xy`: host, [N, 2], rows dense, finite. N < 2^31.
/// *Cost* bounding box, squares and a radix sort on the device; waits for it twice.
SlicePieces split_cells(Cuda device, TensorView<const double> xy, std::int64_t split_num);

struct SubSliceSettings {
  std::int64_t neighbours = 50;  ///< SubSliceOptions::neighbours, 2 to 1025
  bool stable_geometry = false;  ///< Geometry::stable instead of Geometry::reference
};

/// Pieces as pipeline::SubSlice holds them, one after the other. Nodes of piece p are node_offsets[p] ..
/// node_offsets[p + 1]; rows of its distances likewise in row_offsets; columns count within the piece.
struct SubSliceArrays {
  std::int64_t virtual_cells = 0;
  std::vector<std::int64_t> node_offsets{0};      ///< [pieces + 1]
  std::vector<std::int64_t> node_cells;           ///< [nodes] -1 for CLS and virtual cells
  std::vector<std::int32_t> token_types;          ///< [nodes]
  std::vector<double> xy;                         ///< [nodes, 2]
  std::vector<std::int64_t> row_offsets{0};       ///< [nodes + 1] into columns and values, over all pieces
  std::vector<std::int32_t> columns;              ///< [entries] ascending in a row
  std::vector<float> values;                      ///< [entries]
  std::vector<std::int64_t> coincident_pairs;     ///< [pieces]
};

/// Builds pieces. `pieces`: offsets and cells as above, any subset of the cells of `xy` [N, 2] (host,
/// normalised); `virtual_xy` [K, 2]. \throws ShapeError as build_sub_slice() (STOFM-4206, 4208), UsageError
/// (STOFM-4207), DeviceError, ResourceError. *Cost* three passes over the pairs of each piece; waits for the
/// device twice (for the number of entries and at the end).
SubSliceArrays build_sub_slices(Cuda device, std::span<const std::int64_t> offsets,
                                std::span<const std::int64_t> cells, TensorView<const double> xy,
                                TensorView<const double> virtual_xy, const SubSliceSettings& settings = {});

/// The same, left on the device: nothing but the counts comes back. Memory comes from the pool and goes with
/// this object.
struct DeviceSubSlices {
  std::int64_t nodes = 0, entries = 0, virtual_cells = 0;
  std::vector<std::int64_t> node_offsets{0};       ///< host, [pieces + 1]
  std::vector<std::int64_t> entry_offsets{0};      ///< host, [pieces + 1] into columns and values
  std::vector<std::int64_t> coincident_pairs;      ///< host, [pieces]
  Tensor<std::int64_t, Cuda> device_node_offsets;  ///< [pieces + 1]
  Tensor<std::int64_t, Cuda> node_cells;           ///< [nodes]
  Tensor<std::int32_t, Cuda> token_types;          ///< [nodes]
  Tensor<double, Cuda> xy;                         ///< [nodes, 2]
  Tensor<std::int64_t, Cuda> row_offsets;          ///< [nodes + 1]
  Tensor<std::int32_t, Cuda> columns;              ///< [entries]
  Tensor<float, Cuda> values;                      ///< [entries]
};

DeviceSubSlices build_sub_slices_on_device(Cuda device, std::span<const std::int64_t> offsets,
                                           std::span<const std::int64_t> cells, TensorView<const double> xy,
                                           TensorView<const double> virtual_xy,
                                           const SubSliceSettings& settings = {});

}  // namespace stofm::backend
