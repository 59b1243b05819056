// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What stands behind the functions of backend/cuda/kmeans.hpp.

#include <array>
#include <atomic>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/kernels/kmeans/mini_batch.cuh"

namespace stofm::kernels::kmeans {

/// \throws ShapeError STOFM-1231
inline void check_sizes(std::int64_t n, std::int64_t d, std::int64_t k) {
  if (n < 0 || n > 0x7fffffff || d < 1 || d > most_columns || k < 1 || k > most_clusters)
    throw ShapeError(
        {"STOFM-1231", "", "[mini_batch_kmeans]", concat(n, " rows of ", d, " columns, ", k, " clusters"),
         concat("fewer than 2^31 rows, 1 to ", most_columns, " columns, 1 to ", most_clusters, " clusters"),
         "Use --device cpu for these."});
}

/// Shared memory a block may have, asked for once per device.
inline std::int64_t shared_limit(Cuda device) {
  static std::array<std::atomic<std::int64_t>, 64> limits{};
  auto& limit = limits[static_cast<std::size_t>(device.ordinal) % limits.size()];
  if (limit.load() == 0) limit.store(backend::cuda_device_info(device).shared_bytes);
  return limit.load();
}

struct StepWorkspace {
  AssignWorkspace assign;
  UpdateWorkspace update;
};
inline StepWorkspace cut_step_workspace(Arena& arena, std::int64_t n, std::int64_t d,
                                        std::int64_t k) {
  check_sizes(n, d, k);
  const AssignWorkspace assign = cut_assign_workspace(arena, n, d, k);
  return {assign, cut_update_workspace(arena, n, d, k)};
}

struct StepResult {
  std::int32_t* labels;      // [n]
  float* squared_distances;  // [n] or null
  std::int64_t* counts;      // [k] or null
};

/// Assignment and, if `new_centres` is not null, means.
inline void step(Cuda device, TensorView<const float, Cuda> rows, TensorView<const float, Cuda> centres,
                 float* new_centres, const StepResult& result, void* workspace, KMeansAssignment assignment) {
  if (rows.rank() != 2 || centres.rank() != 2 || rows.dim(1) != centres.dim(1) || !rows.is_contiguous() ||
      !centres.is_contiguous())
    throw ShapeError({"STOFM-1230", "", "[kmeans]",
                      concat("rows ", to_string(rows.shape), ", centres ", to_string(centres.shape)),
                      "dense rows and centres of one width", "Check the shapes."});
  Arena arena(workspace);
  const StepWorkspace w = cut_step_workspace(arena, rows.dim(0), rows.dim(1), centres.dim(0));
  const Problem problem{rows.dim(0), rows.dim(1), centres.dim(0), shared_limit(device),
                        backend::current_stream(device), device};
  launch_assign(problem, rows.data, centres.data, result.labels, result.squared_distances, w.assign,
                assignment);
  if (new_centres != nullptr)
    launch_means(problem, rows.data, result.labels, new_centres, result.counts, w.update);
}

}  // namespace stofm::kernels::kmeans
