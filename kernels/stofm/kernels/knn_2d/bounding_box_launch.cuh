// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the bounding box, and what sorting along a curve or by squares needs.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/kmeans/sort_launch.cuh"
#include "stofm/kernels/knn_2d/bounding_box.cuh"

namespace stofm::kernels::knn_2d {

/// Queues smallest and largest coordinates. `boxes`: [most_box_blocks], the answer in the first.
inline void launch_bounding_box(const double* xy, std::int64_t n, Box* boxes, CudaStream stream) {
  const auto grid = minimum(blocks(n, box_threads), static_cast<unsigned>(most_box_blocks));
  BoundingBoxParams params{xy, boxes, n, 0};
  LaunchConfig config{.grid = {grid},
                      .block = {box_threads},
                      .shared_bytes = sizeof(BoxStorage),
                      .stream = stream,
                      .name = "bounding_box"};
  launch(bounding_box<BoxStorage>, config, params);
  config.grid = {1};
  params.blocks = grid;
  launch(bounding_box<BoxStorage>, config, params);
}

}  // namespace stofm::kernels::knn_2d
