// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From sub-slices built on the device (backend/cuda/sub_slices.hpp) to what the distance bias reads: their
/// different distances one after the other with the far one behind, and which of them each listed pair has.
/// Limiter: bytes, 8 a listed pair.

#include "stofm/backend/cuda/sub_slices.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/common/warp.cuh"

namespace stofm::kernels::se2 {

/// The distance of pairs that are not listed (ops/pair_distances.hpp).
inline constexpr float far_pair_distance = 100.0F;

struct ListedDistanceParams {
  const float* distinct;                 // [count]
  const std::int64_t* distinct_offsets;  // [slices + 1]
  const std::int32_t* value_number;      // [entries] within the slice
  const std::int64_t* row_offsets;       // [nodes + 1]
  const std::int32_t* row_slice;         // [nodes]
  float* distances;                      // [count + 1]
  std::int32_t* distance_of;             // [entries] over all slices
  std::int64_t count, nodes;
};

/// Grid: a thread per distance, the far one too.
template <class T>
static __global__ void place_distances(const ListedDistanceParams p) {
  const std::int64_t d = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (d <= p.count) p.distances[d] = d < p.count ? p.distinct[d] : far_pair_distance;
}

/// Grid: a warp per row, `Warps` a block.
template <int Warps>
static __global__ void number_distances(const ListedDistanceParams p) {
  const std::int64_t row = std::int64_t{blockIdx.x} * Warps + warp();
  if (row >= p.nodes) return;  // the whole warp
  const std::int64_t end = p.row_offsets[row + 1];
  const auto before = static_cast<std::int32_t>(p.distinct_offsets[p.row_slice[row]]);
  for (std::int64_t e = p.row_offsets[row] + lane(); e < end; e += warp_size)
    p.distance_of[e] = p.value_number[e] + before;
}

inline void launch_listed_distances(CudaStream stream, const ListedDistanceParams& p) {
  constexpr int warps = 8, threads = warps * warp_size;
  launch(place_distances<float>,
         {.grid = {blocks(p.count + 1, threads)},
          .block = {threads},
          .shared_bytes = 0,
          .stream = stream,
          .name = "place_distances"},
         p);
  launch(number_distances<warps>,
         {.grid = {blocks(p.nodes, warps)},
          .block = {threads},
          .shared_bytes = 0,
          .stream = stream,
          .name = "number_distances"},
         p);
}

}  // namespace stofm::kernels::se2
