// SPDX-License-Identifier: MIT
#include "stofm/kernels/knn_2d/launch.cuh"

namespace stofm::backend {

KnnOutcome nearest_neighbours_2d(Cuda device, TensorView<const double> xy, std::int64_t k) {
  return kernels::knn_2d::run_knn_2d(device, xy, k);
}

std::int64_t knn_2d_workspace_bytes(std::int64_t points) {
  kernels::Arena arena;
  (void)kernels::knn_2d::cut_workspace(arena, points);
  return arena.used();
}

void nearest_neighbours_2d(Cuda device, const double* xy, std::int64_t points, std::int64_t k,
                           std::int32_t* indices, double* squared_distances, void* workspace) {
  kernels::knn_2d::check_sizes(points, k);
  kernels::Arena arena(workspace);
  kernels::knn_2d::launch_knn_2d(device, xy, points, k, indices, squared_distances,
                                 kernels::knn_2d::cut_workspace(arena, points));
}

}  // namespace stofm::backend
