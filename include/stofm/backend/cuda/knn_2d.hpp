// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of exact k nearest neighbours in the plane on a CUDA device (see cluster/knn_2d.hpp, whose
/// answers these are, bit by bit); defined in the kernel library.

#include <cstdint>
#include <vector>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// The fields of cluster::Neighbours2d.
struct KnnOutcome {
  std::int64_t points = 0;
  std::int64_t k = 0;                     ///< min(k, points - 1)
  std::vector<std::int32_t> indices;      ///< [points, k], nearest first, ties by index
  std::vector<double> squared_distances;  ///< [points, k]
};

/// Neighbours of host points [N, 2], rows dense, finite, below 1e150 (the caller checks, as for the CPU).
/// k is lowered to N - 1. \throws ShapeError (STOFM-1205) for k < 0 or k > 1024, DeviceError, ResourceError.
/// *Cost* O(N log N); waits for the device once, at the end. *Deterministic* yes.
KnnOutcome nearest_neighbours_2d(Cuda device, TensorView<const double> xy, std::int64_t k);

/// Bytes of device memory that the overload below needs beside its operands (its sort takes more from the
/// pool).
std::int64_t knn_2d_workspace_bytes(std::int64_t points);

/// The same on device memory, on `current_stream(device)`, without host synchronisation.
/// *Shapes* xy [points, 2] dense; indices and squared_distances [points, k]; 0 < k < points, k <= 1024;
/// workspace: knn_2d_workspace_bytes(points) bytes, 256-byte aligned.
void nearest_neighbours_2d(Cuda device, const double* xy, std::int64_t points, std::int64_t k,
                           std::int32_t* indices, double* squared_distances, void* workspace);

}  // namespace stofm::backend
