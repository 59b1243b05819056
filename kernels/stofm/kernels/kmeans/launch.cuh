// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the k-means kernels, assignment and full steps, and what stands behind the functions of
/// backend/cuda/kmeans.hpp. No host synchronisation.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/backend/cuda/kmeans.hpp"
#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/kmeans/assign_exact_forward.cuh"
#include "stofm/kernels/kmeans/settle_forward.cuh"
#include "stofm/kernels/kmeans/update_forward.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "stofm/kernels/sort/sort.hpp"

namespace stofm::kernels::kmeans {

using backend::KMeansAssignment;

/// Sizes of a problem and where it runs.
struct Problem {
  std::int64_t n, d, k;
  std::int64_t shared_limit;  ///< bytes a block may have
  CudaStream stream;          ///< the current one of `device`
  Cuda device = {};
};

/// Threads for one column each, whole warps, at most 256.
inline dim3 column_threads(std::int64_t d) {
  return {static_cast<unsigned>(minimum<std::int64_t>(256, ceil_div(d, warp_size) * warp_size))};
}

inline KMeansAssignment chosen_assignment(const Problem& p, KMeansAssignment wanted) {
  if (!MarginTilePolicy::fits(p.d, p.shared_limit)) return KMeansAssignment::exact_scan;
  if (wanted != KMeansAssignment::automatic) return wanted;
  return p.d >= margin_tile_from_columns ? KMeansAssignment::margin_tile : KMeansAssignment::exact_scan;
}

struct AssignWorkspace {
  bfloat16 *high, *low;
  float *squared_norms, *transposed;
  std::int32_t* second;
  RowState* states;
};
inline AssignWorkspace cut_assign_workspace(Arena& arena, std::int64_t n, std::int64_t d,
                                            std::int64_t k) {
  const std::int64_t padded_k = MarginTilePolicy::padded_centres(k),
                     padded_d = MarginTilePolicy::padded_columns(d);
  AssignWorkspace w;
  w.high = arena.take<bfloat16>(padded_k * padded_d);
  w.low = arena.take<bfloat16>(padded_k * padded_d);
  w.squared_norms = arena.take<float>(padded_k);
  w.transposed = arena.take<float>(k * d);
  w.second = arena.take<std::int32_t>(n);
  w.states = arena.take<RowState>(n);
  return w;
}

template <class Policy, int Rows>
void launch_margin_tile(const Problem& problem, const MarginTileParams& params) {
  launch(assign_margin<Policy, Rows>,
         {.grid = {blocks(problem.n, Rows)},
          .block = {Policy::threads},
          .shared_bytes = static_cast<std::size_t>(Policy::shared_bytes(Rows, problem.d)),
          .stream = problem.stream,
          .name = "assign_margin"},
         params);
}

template <class Policy>
void launch_exact_scan(const Problem& problem, const AssignParams& params) {
  launch(assign_exact<Policy>,
         {.grid = {blocks(problem.n, Policy::rows)},
          .block = {Policy::threads},
          .shared_bytes = sizeof(ExactScanStorage<Policy>),
          .stream = problem.stream,
          .name = "assign_exact"},
         params);
}

/// Queues the assignment. `squared_distances` may be null.
template <class Policy = MarginTilePolicy>
void launch_assign(const Problem& problem, const float* rows, const float* centres, std::int32_t* labels,
                   float* squared_distances, const AssignWorkspace& w, KMeansAssignment wanted) {
  const auto [n, d, k, shared_limit, stream, device] = problem;
  if (n == 0) return;
  if (chosen_assignment(problem, wanted) == KMeansAssignment::exact_scan) {
    const AssignParams params{rows, centres, labels, squared_distances, n, d, k};
    if (d <= NarrowScanPolicy::columns)
      launch_exact_scan<NarrowScanPolicy>(problem, params);
    else
      launch_exact_scan<ExactScanPolicy>(problem, params);
    return;
  }
  const std::int64_t padded_k = Policy::padded_centres(k), padded_d = Policy::padded_columns(d);
  launch(prepare_centres<PrepareStorage>,
         {.grid = {blocks(padded_k)},
          .block = {prepare_threads},
          .shared_bytes = sizeof(PrepareStorage),
          .stream = stream,
          .name = "prepare_centres"},
         {centres, w.high, w.low, w.squared_norms, w.transposed, k, d, padded_d});
  const MarginTileParams tile{rows, w.high, w.low, w.squared_norms, labels,   w.second,        w.states,
                              n,    d,      k,     padded_d,        padded_k, margin_bounds(d)};
  switch (Policy::rows_for(n, d, shared_limit)) {
    case 128:
      launch_margin_tile<Policy, 128>(problem, tile);
      break;
    case 64:
      launch_margin_tile<Policy, 64>(problem, tile);
      break;
    default:
      launch_margin_tile<Policy, 32>(problem, tile);
  }
  launch(settle_rows<SettleStorage>,
         {.grid = {blocks(n, settle_warps * warp_size)},
          .block = {settle_warps * warp_size},
          .shared_bytes = sizeof(SettleStorage),
          .stream = stream,
          .name = "settle_rows"},
         {rows, centres, w.transposed, w.second, w.states, labels, n, d, k});
  if (squared_distances == nullptr) return;
  launch(own_distances<OwnDistanceStorage>,
         {.grid = {blocks(n, own_distance_warps * warp_size)},
          .block = {own_distance_warps * warp_size},
          .shared_bytes = sizeof(OwnDistanceStorage),
          .stream = stream,
          .name = "own_distances"},
         {rows, centres, labels, squared_distances, n, d});
}

/// Rows in the order of their segments, the clusters of one part of the rows after those of the part before.
struct SegmentWorkspace {
  std::int64_t parts, part_rows;
  std::uint64_t* keys;    // [n]
  std::uint32_t* order;   // [n]
  std::int64_t* offsets;  // [parts * k + 1]
};
inline SegmentWorkspace cut_segment_workspace(Arena& arena, std::int64_t n, std::int64_t k,
                                              std::int64_t part_rows) {
  const std::int64_t rows = maximum<std::int64_t>(part_rows, 1),
                     parts = maximum<std::int64_t>(ceil_div(n, rows), 1);
  return {parts, rows, arena.take<std::uint64_t>(n), arena.take<std::uint32_t>(n),
          arena.take<std::int64_t>(checked_mul(parts, k, "segments") + 1)};
}
struct UpdateWorkspace {
  SegmentWorkspace segments;
  double* sums;
};
inline UpdateWorkspace cut_update_workspace(Arena& arena, std::int64_t n, std::int64_t d, std::int64_t k) {
  UpdateWorkspace w;
  w.segments = cut_segment_workspace(arena, n, k, part_rows(n));
  w.sums = arena.take<double>(checked_mul(w.segments.parts * k, d, "sums of parts"));
  return w;
}

/// Queues the sort of rows by segment: their order, and where each segment begins.
inline void launch_sort_rows(const Problem& problem, const std::int32_t* labels, const SegmentWorkspace& w) {
  const std::int64_t segments = w.parts * problem.k;
  launch(segment_keys<float>, per_item(problem.n, problem.stream, "segment_keys"),
         {labels, w.keys, w.order, problem.n, problem.k, w.part_rows});
  sort_pairs(problem.device, w.keys, w.order, problem.n,
             (std::max)(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(segments - 1)))));
  launch(segment_offsets<float>, per_item(segments + 1, problem.stream, "segment_offsets"),
         {w.keys, w.offsets, problem.n, segments});
}

/// Queues counts only (`centres` null) or counts and means.
inline void launch_means(const Problem& problem, const float* rows, const std::int32_t* labels,
                         float* centres, std::int64_t* counts, const UpdateWorkspace& w) {
  if (problem.n == 0) return;
  launch_sort_rows(problem, labels, w.segments);
  if (centres != nullptr)
    launch(sum_segments_of_rows<rows_in_flight>,
           {.grid = {blocks(w.segments.parts * problem.k)},
            .block = column_threads(problem.d),
            .stream = problem.stream,
            .name = "sum_segments_of_rows"},
           {rows, w.segments.order, w.segments.offsets, w.sums, problem.d});
  launch(means_of_parts<double>,
         {.grid = {blocks(problem.k)},
          .block = column_threads(problem.d),
          .stream = problem.stream,
          .name = "means_of_parts"},
         {w.sums, w.segments.offsets, centres, counts, problem.d, problem.k, w.segments.parts});
}

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
