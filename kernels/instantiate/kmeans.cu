// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/device.hpp"
#include "stofm/kernels/kmeans/mini_batch.cuh"

namespace stofm::backend {

KMeansOutcome mini_batch_kmeans(Cuda device, TensorView<const float> rows, const KMeansSettings& settings) {
  kernels::kmeans::check_sizes(rows.dim(0), rows.dim(1), std::min(settings.clusters, rows.dim(0)));
  return kernels::kmeans::MiniBatchRun(device, rows, settings, kernels::kmeans::shared_limit(device)).run();
}

std::int64_t kmeans_workspace_bytes(std::int64_t rows, std::int64_t columns, std::int64_t clusters) {
  kernels::Arena arena;
  (void)kernels::kmeans::cut_step_workspace(arena, rows, columns, clusters);
  return arena.used();
}

void kmeans_assign(Cuda device, TensorView<const float, Cuda> rows, TensorView<const float, Cuda> centres,
                   std::int32_t* labels, float* squared_distances, void* workspace,
                   KMeansAssignment assignment) {
  kernels::kmeans::step(device, rows, centres, nullptr, {labels, squared_distances, nullptr}, workspace,
                        assignment);
}

void kmeans_lloyd_step(Cuda device, TensorView<const float, Cuda> rows, TensorView<float, Cuda> centres,
                       std::int32_t* labels, std::int64_t* counts, void* workspace,
                       KMeansAssignment assignment) {
  kernels::kmeans::step(device, rows, centres, centres.data, {labels, nullptr, counts}, workspace,
                        assignment);
}

}  // namespace stofm::backend
