// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the kNN kernels: bounding box, order along the curve, boxes, queries. No host synchronisation.

#include "stofm/backend/cuda/knn_2d.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/knn_2d/knn_2d_forward.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "stofm/kernels/sort/sort.hpp"

namespace stofm::kernels::knn_2d {

struct Workspace {
  Box* extent;          // [most_box_blocks]
  std::uint64_t* keys;  // [n]
  Tree tree;
};
inline Workspace cut_workspace(Arena& arena, std::int64_t n) {
  Workspace w;
  w.extent = arena.take<Box>(most_box_blocks);
  w.keys = arena.take<std::uint64_t>(n);
  w.tree.levels = levels_of(n);
  w.tree.n = n;
  w.tree.x = arena.take<double>(n);
  w.tree.y = arena.take<double>(n);
  w.tree.points = arena.take<std::uint32_t>(n);
  w.tree.boxes = arena.take<Box>(w.tree.levels.total);
  w.tree.lowest = arena.take<std::uint32_t>(w.tree.levels.total);
  return w;
}

template <int Warps>
void launch_queries(const QueryParams& params, CudaStream stream) {
  launch(query_points<Warps>,
         {.grid = {blocks(params.tree.n, Warps)},
          .block = {Warps * warp_size},
          .shared_bytes = static_cast<std::size_t>(Warps * buffer_bytes(params.k)),
          .stream = stream,
          .name = "query_points"},
         params);
}

/// Queues everything. 0 < k < n.
inline void launch_knn_2d(Cuda device, const double* xy, std::int64_t n, std::int64_t k, std::int32_t* indices,
                          double* squared_distances, const Workspace& w) {
  const CudaStream stream = backend::current_stream(device);
  launch_bounding_box(xy, n, w.extent, stream);
  launch(
      curve_keys<double>,
      per_item(n, stream, "curve_keys"),
      {xy, w.extent, w.keys, w.tree.points, n});
  sort_pairs(device, w.keys, w.tree.points, n, 64);
  for (int level = 0; level < w.tree.levels.count; ++level)
    launch(build_level<double>,
           {.grid = {blocks(w.tree.levels.boxes[level], build_warps)},
            .block = {build_warps * warp_size},
            .stream = stream,
            .name = "build_level"},
           {xy, w.tree, level});
  const QueryParams params{w.tree, indices, squared_distances, k, static_cast<int>(buffer_capacity(k))};
  switch (warps_for(k)) {
    case 8:
      return launch_queries<8>(params, stream);
    case 4:
      return launch_queries<4>(params, stream);
    case 2:
      return launch_queries<2>(params, stream);
    default:
      return launch_queries<1>(params, stream);
  }
}

/// \throws ShapeError STOFM-1205
inline void check_sizes(std::int64_t n, std::int64_t k) {
  if (n < 0 || n > 0x7fffffff || k < 0 || k > most_neighbours)
    throw ShapeError({"STOFM-1205", "", "[nearest_neighbours_2d]", concat(n, " points, k = ", k),
                      concat("fewer than 2^31 points and 0 <= k <= ", most_neighbours),
                      "Use --device cpu for these."});
}

/// From host points to host neighbours.
inline backend::KnnOutcome run_knn_2d(Cuda device, TensorView<const double> xy, std::int64_t k) {
  backend::KnnOutcome outcome;
  outcome.points = xy.dim(0);
  const std::int64_t n = xy.dim(0);
  outcome.k = minimum(k, maximum<std::int64_t>(n - 1, 0));
  check_sizes(n, k < 0 ? k : outcome.k);
  if (outcome.k == 0) return outcome;
  const DeviceArray<double> points(device, 2 * n),
      distances(device, checked_mul(n, outcome.k, "neighbours"));
  const DeviceArray<std::int32_t> indices(device, n * outcome.k);
  backend::copy_rows(device, points.data(), 16, xy.data, xy.stride(0) * 8, 16, n,
                     backend::CopyDirection::to_device);
  Arena count;
  (void)cut_workspace(count, n);
  const DeviceArray<std::byte> memory(device, count.used());
  Arena arena(memory.data());
  launch_knn_2d(device, points.data(), n, outcome.k, indices.data(), distances.data(),
                cut_workspace(arena, n));
  outcome.indices = indices.to_host();
  outcome.squared_distances = distances.to_host();
  return outcome;
}

}  // namespace stofm::kernels::knn_2d
