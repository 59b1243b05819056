// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Declarations of k-means on a CUDA device (see cluster/mini_batch_kmeans.hpp, whose labels and centres it
/// gives bit by bit); defined in the kernel library. The arithmetic that decides is that of the CPU code:
/// squared distances are float sums in the order of the columns, means are double sums in the order of the
/// rows, ties go to the lowest centre; the tensor-core scores only say which centres need not be looked at.

#include <cstdint>
#include <vector>

#include "stofm/backend/cuda/stream.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::backend {

/// How rows find their centre. Both give the same labels.
enum class KMeansAssignment {
  automatic,   ///< by the width of the rows (kernels/stofm/kernels/kmeans/policy.hpp)
  exact_scan,  ///< every squared distance as the CPU computes it; two dimensions want this
  margin_tile  ///< scores |c|^2 - 2 x.c on tensor cores, and exact distances where two scores are too near
};

/// The fields of cluster::MiniBatchKMeansOptions; `clusters` must be given.
struct KMeansSettings {
  std::int64_t clusters = 0;
  std::int64_t batch = 1024;
  std::int64_t max_passes = 100;
  std::int64_t patience = 10;
  std::int64_t full_steps = 2;
  std::uint64_t seed = 0;
  KMeansAssignment assignment = KMeansAssignment::automatic;
};

/// The fields of cluster::MiniBatchKMeansResult on the host; the caller says the notice if `clusters` is
/// less than what was asked for.
struct KMeansOutcome {
  std::vector<std::int32_t> labels;  ///< [N]
  std::vector<float> centres;        ///< [K, C]
  std::int64_t clusters = 0;         ///< K
  double inertia = 0;
  std::int64_t batches = 0;
};

/// Mini-batch k-means of host rows [N, C], dense, finite, below 1e17 (the caller checks, as for the CPU).
/// Limits: 0 < N < 2^31, 0 < C <= 1024, 0 < min(clusters, N) <= 4096. \throws ShapeError (STOFM-1231) beyond
/// the limits, DeviceError, ResourceError. *Cost* the rows are copied once; the host is waited for every 16
/// batches and once a full step. *Deterministic* yes, equal to the CPU's result in a build of that without
/// contraction.
KMeansOutcome mini_batch_kmeans(Cuda device, TensorView<const float> rows, const KMeansSettings& settings);

/// Bytes of device memory that kmeans_assign() and kmeans_lloyd_step() need beside their operands (the sort
/// in a full step takes more from the pool).
std::int64_t kmeans_workspace_bytes(std::int64_t rows, std::int64_t columns, std::int64_t clusters);

/// Nearest centre of each row, on `current_stream(device)`. No host synchronisation.
/// *Shapes* rows [N, C], centres [K, C], dense, device memory; labels [N]; squared_distances [N] or null;
/// workspace: kmeans_workspace_bytes(N, C, K) bytes, 256-byte aligned.
void kmeans_assign(Cuda device, TensorView<const float, Cuda> rows, TensorView<const float, Cuda> centres,
                   std::int32_t* labels, float* squared_distances, void* workspace,
                   KMeansAssignment assignment = KMeansAssignment::automatic);

/// One full step: labels by the old centres, then each centre becomes the mean of its rows (kept where it has
/// none). `counts` [K]: rows per centre. Otherwise as kmeans_assign().
void kmeans_lloyd_step(Cuda device, TensorView<const float, Cuda> rows, TensorView<float, Cuda> centres,
                       std::int32_t* labels, std::int64_t* counts, void* workspace,
                       KMeansAssignment assignment = KMeansAssignment::automatic);

}  // namespace stofm::backend
