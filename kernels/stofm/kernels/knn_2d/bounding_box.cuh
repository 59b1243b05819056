// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Smallest and largest x and y of points, and their order along a space-filling curve.
/// Smallest and largest are exact, so neither kernel depends on the order of blocks. Limiter: bytes, 16 a
/// point.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/knn_2d/nearest_buffer.cuh"

namespace stofm::kernels::knn_2d {

/// Smallest x, largest x, smallest y, largest y.
struct Box {
  double low_x, high_x, low_y, high_y;
};
__device__ __forceinline__ Box empty_box() {
  const double infinity = infinite_distance();
  return {infinity, -infinity, infinity, -infinity};
}
__device__ __forceinline__ Box joined(const Box& a, const Box& b) {
  return {minimum(a.low_x, b.low_x), maximum(a.high_x, b.high_x), minimum(a.low_y, b.low_y),
          maximum(a.high_y, b.high_y)};
}
/// Box of what the lanes have.
__device__ __forceinline__ Box warp_box(const Box& b) {
  return {-warp_max(-b.low_x), warp_max(b.high_x), -warp_max(-b.low_y), warp_max(b.high_y)};
}

struct BoundingBoxParams {
  const double* xy;  // [n, 2]
  Box* boxes;        // [blocks]; [0] is the answer after the second launch
  std::int64_t n;
  std::int64_t blocks;  ///< 0: find each block's box; else: join the first of these
};
inline constexpr int box_threads = 256;
inline constexpr std::int64_t most_box_blocks = 256;
struct BoxStorage {
  Box warps[box_threads / warp_size];
};

/// Grid: up to 256 blocks of 256 threads, then one.
template <class Storage>
static __global__ void bounding_box(const BoundingBoxParams p) {
  auto& shared = shared_memory<Storage>();
  Box box = empty_box();
  if (p.blocks > 0) {
    for (std::int64_t b = threadIdx.x; b < p.blocks; b += box_threads) box = joined(box, p.boxes[b]);
  } else {
    for (std::int64_t i = std::int64_t(blockIdx.x) * box_threads + threadIdx.x; i < p.n;
         i += std::int64_t(gridDim.x) * box_threads)
      box = joined(box, {p.xy[2 * i], p.xy[2 * i], p.xy[2 * i + 1], p.xy[2 * i + 1]});
  }
  box = warp_box(box);
  if (lane() == 0) shared.warps[warp()] = box;
  block_sync();
  if (threadIdx.x != 0) return;
  for (const Box& other : shared.warps) box = joined(box, other);
  p.boxes[blockIdx.x] = box;
}

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

/// Every second bit of 64, from 32.
__host__ __device__ __forceinline__ constexpr std::uint64_t spread_bits(std::uint32_t x) {
  std::uint64_t b = x;
  b = (b | (b << 16)) & 0x0000ffff0000ffffULL;
  b = (b | (b << 8)) & 0x00ff00ff00ff00ffULL;
  b = (b | (b << 4)) & 0x0f0f0f0f0f0f0f0fULL;
  b = (b | (b << 2)) & 0x3333333333333333ULL;
  return (b | (b << 1)) & 0x5555555555555555ULL;
}
/// Place of v in [low, high] in 2^32 steps. Only the order of the points depends on it, not the answers.
__device__ __forceinline__ std::uint32_t step_of(double v, double low, double high) {
  const double extent = high - low;
  if (!(extent > 0)) return 0;
  const double step = (v - low) / extent * 4294967295.0;
  return step >= 4294967295.0 ? 0xffffffffU : static_cast<std::uint32_t>(step);
}

struct CurveParams {
  const double* xy;       // [n, 2]
  const Box* box;         // [1]
  std::uint64_t* keys;    // [n] Morton code
  std::uint32_t* points;  // [n] 0, 1, ...
  std::int64_t n;
};
/// Grid: a thread per point.
template <class T>
static __global__ void curve_keys(const CurveParams p) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.n) return;
  const Box box = *p.box;
  p.keys[i] = spread_bits(step_of(p.xy[2 * i], box.low_x, box.high_x)) |
              spread_bits(step_of(p.xy[2 * i + 1], box.low_y, box.high_y)) << 1;
  p.points[i] = static_cast<std::uint32_t>(i);
}

}  // namespace stofm::kernels::knn_2d
