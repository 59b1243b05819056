// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How centres move, with the bits of the CPU code: full steps (means) and batches.
///
/// Means: the rows of each cluster within each of at most 16 parts of the rows come from a stable sort, in
/// ascending order. A block has one (part, cluster), a thread one column (or a few): it adds its column of
/// these rows as doubles, in order. Then the parts are added in order and divided: sum / count, rounded to
/// float once. Limiter: bytes, 4 N C read (rows of a cluster are whole lines); a chain of double additions
/// where one cluster has nearly all rows.
///
/// Batches: row after row pulls its centre, c += (x - c) / seen; a block has one centre, a thread one column.
/// Both: no shared memory, no barriers, no atomics; deterministic.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/kmeans/policy.hpp"
#include "stofm/kernels/common/scalar.cuh"

namespace stofm::kernels::kmeans {

/// Segment of a row: its cluster, behind those of the parts of the rows before its own.
struct SegmentKeyParams {
  const std::int32_t* labels;  // [n]
  std::uint64_t* keys;         // [n]
  std::uint32_t* order;        // [n] 0, 1, ...
  std::int64_t n, k, part_rows;
};
/// Grid: a thread per row.
template <class T>
static __global__ void segment_keys(const SegmentKeyParams p) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.n) return;
  p.keys[i] = static_cast<std::uint64_t>(i / p.part_rows * p.k + p.labels[i]);
  p.order[i] = static_cast<std::uint32_t>(i);
}

struct SegmentOffsetParams {
  const std::uint64_t* keys;  // [n] ascending
  std::int64_t* offsets;      // [segments + 1] the first row of each, and n
  std::int64_t n, segments;
};
/// Grid: a thread per offset.
template <class T>
static __global__ void segment_offsets(const SegmentOffsetParams p) {
  const std::int64_t segment = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (segment > p.segments) return;
  std::int64_t begin = 0, end = p.n;
  while (begin < end) {
    const std::int64_t middle = begin + (end - begin) / 2;
    if (p.keys[middle] < static_cast<std::uint64_t>(segment))
      begin = middle + 1;
    else
      end = middle;
  }
  p.offsets[segment] = begin;
}

struct SegmentSumParams {
  const float* rows;            // [n, d]
  const std::uint32_t* order;   // [n] rows of segment (part, cluster) one after the other
  const std::int64_t* offsets;  // [parts * k + 1]
  double* sums;                 // [parts, k, d]
  std::int64_t d;
};
/// Rows whose loads are under way at once.
inline constexpr int rows_in_flight = 8;

/// Grid: a block per (part, cluster); threads: columns, at most 256.
template <int InFlight>
static __global__ void sum_segments_of_rows(const SegmentSumParams p) {
  const std::int64_t segment = blockIdx.x;
  const std::int64_t begin = p.offsets[segment], end = p.offsets[segment + 1];
  for (std::int64_t j = threadIdx.x; j < p.d; j += blockDim.x) {
    double sum = 0;
    std::int64_t e = begin;
    for (; e + InFlight <= end; e += InFlight) {
      float x[InFlight];
#pragma unroll
      for (int i = 0; i < InFlight; ++i) x[i] = p.rows[std::int64_t{p.order[e + i]} * p.d + j];
#pragma unroll
      for (int i = 0; i < InFlight; ++i) sum += static_cast<double>(x[i]);
    }
    for (; e < end; ++e) sum += static_cast<double>(p.rows[std::int64_t{p.order[e]} * p.d + j]);
    p.sums[segment * p.d + j] = sum;
  }
}

struct MeanParams {
  const double* sums;           // [parts, k, d]
  const std::int64_t* offsets;  // [parts * k + 1]
  float* centres;               // [k, d]; kept where a cluster has no rows
  std::int64_t* counts;         // [k] or null
  std::int64_t d, k, parts;
};
/// Grid: a block per cluster; threads: columns, at most 256.
template <class Real>
static __global__ void means_of_parts(const MeanParams p) {
  const std::int64_t cluster = blockIdx.x;
  std::int64_t count = 0;
  for (std::int64_t part = 0; part < p.parts; ++part) {
    const std::int64_t segment = part * p.k + cluster;
    count += p.offsets[segment + 1] - p.offsets[segment];
  }
  if (threadIdx.x == 0 && p.counts != nullptr) p.counts[cluster] = count;
  if (count == 0 || p.centres == nullptr) return;
  for (std::int64_t j = threadIdx.x; j < p.d; j += blockDim.x) {
    Real sum = p.sums[cluster * p.d + j];
    for (std::int64_t part = 1; part < p.parts; ++part) sum += p.sums[(part * p.k + cluster) * p.d + j];
    p.centres[cluster * p.d + j] = static_cast<float>(sum / static_cast<Real>(count));
  }
}

/// What the batches go on from; on the device, looked at by the host now and then.
struct BatchState {
  double mean = 0, least = 0;
  std::int64_t step = 0, waited = 0;
  std::int32_t stopped = 0;
};

struct GatherParams {
  const float* rows;          // [n, d]
  const std::int64_t* which;  // [count]
  float* out;                 // [count, d]
  std::int64_t count, d;
};
/// Grid: a block per row; threads: columns, at most 256.
template <class T>
static __global__ void gather_rows(const GatherParams p) {
  const std::int64_t i = blockIdx.x;
  for (std::int64_t j = threadIdx.x; j < p.d; j += blockDim.x)
    p.out[i * p.d + j] = p.rows[p.which[i] * p.d + j];
}

struct PullParams {
  const float* batch;           // [size, d]
  const std::uint32_t* order;   // [size] rows of each cluster one after the other, in the order of the batch
  const std::int64_t* offsets;  // [k + 1]
  double* seen;                 // [k] rows each centre has seen
  float* centres;               // [k, d]
  const BatchState* state;
  std::int64_t d;
};
/// Grid: a block per cluster; threads: columns, at most 256.
template <class Real>
static __global__ void pull_centres(const PullParams p) {
  if (p.state->stopped != 0) return;
  const std::int64_t cluster = blockIdx.x;
  const std::int64_t begin = p.offsets[cluster], end = p.offsets[cluster + 1];
  const Real seen = p.seen[cluster];
  for (std::int64_t j = threadIdx.x; j < p.d; j += blockDim.x) {
    float centre = p.centres[cluster * p.d + j];
    Real count = seen;
    for (std::int64_t e = begin; e < end; ++e) {
      count += 1.0;
      const auto rate = static_cast<float>(1.0 / count);
      const float x = p.batch[std::int64_t{p.order[e]} * p.d + j];
      centre = rounded_add(centre, rounded_multiply(rate, rounded_add(x, -centre)));
    }
    p.centres[cluster * p.d + j] = centre;
  }
  block_sync();  // every thread has read what was seen before
  if (threadIdx.x == 0) p.seen[cluster] = seen + static_cast<Real>(end - begin);
}

struct BatchControlParams {
  const float* squared_distances;  // [size]
  BatchState* state;
  double alpha;
  std::int64_t size, patience;
};
struct BatchControlStorage {
  float values[1024];
};
/// Running mean of the distances and whether to stop. One block of 256 threads; the sum is one thread's, in
/// order.
template <class Storage>
static __global__ void control_batches(const BatchControlParams p) {
  auto& values = shared_memory<Storage>().values;
  if (p.state->stopped != 0) return;
  double sum = 0;
  for (std::int64_t first = 0; first < p.size; first += 1024) {
    const int count = static_cast<int>(minimum<std::int64_t>(1024, p.size - first));
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x))
      values[i] = p.squared_distances[first + i];
    block_sync();
    for (int i = 0; threadIdx.x == 0 && i < count; ++i) sum += static_cast<double>(values[i]);
    block_sync();
  }
  if (threadIdx.x != 0) return;
  BatchState s = *p.state;
  sum /= static_cast<double>(p.size);
  s.mean = s.step == 0 ? sum
                       : rounded_add(rounded_multiply(s.mean, rounded_add(1.0, -p.alpha)),
                                     rounded_multiply(sum, p.alpha));
  s.waited = s.mean < s.least ? 0 : s.waited + 1;
  s.least = minimum(s.least, s.mean);
  ++s.step;
  s.stopped = s.waited >= p.patience ? 1 : 0;
  *p.state = s;
}

// ---- the row farthest from its centre, and a new centre that takes rows over ----

struct FarthestParams {
  const float* squared_distances;  // [n]
  float* block_values;             // [blocks]
  std::int64_t* block_rows;        // [blocks]; [0] is the answer after the second launch
  std::int64_t n;
  std::int64_t blocks;  ///< 0: find each block's; else: the first of these
};
struct FarthestStorage {
  float values[256];
  std::int64_t rows[256];
};
/// The greatest distance, ties to the lowest row. Grid: 256 threads a block, each block a stretch of the
/// rows; then one block over what these found.
template <class Storage>
static __global__ void farthest_row(const FarthestParams p) {
  auto& shared = shared_memory<Storage>();
  const int thread = static_cast<int>(threadIdx.x);
  float value = -1;
  std::int64_t row = 0x7fffffffffffffffLL;
  auto take = [&value, &row](float v, std::int64_t r) {
    if (v > value || (v == value && r < row)) {
      value = v;
      row = r;
    }
  };
  if (p.blocks > 0) {
    for (std::int64_t b = thread; b < p.blocks; b += 256) take(p.block_values[b], p.block_rows[b]);
  } else {
    for (std::int64_t i = std::int64_t(blockIdx.x) * 256 + thread; i < p.n;
         i += std::int64_t(gridDim.x) * 256)
      take(p.squared_distances[i], i);
  }
  shared.values[thread] = value;
  shared.rows[thread] = row;
  block_sync();
  for (int half = 128; half > 0; half /= 2) {
    if (thread < half) {
      take(shared.values[thread + half], shared.rows[thread + half]);
      shared.values[thread] = value;
      shared.rows[thread] = row;
    }
    block_sync();
  }
  if (thread != 0) return;
  p.block_values[blockIdx.x] = value;
  p.block_rows[blockIdx.x] = row;
}

struct TakeOverParams {
  const float* to_new;       // [n] squared distance to the new centre
  float* squared_distances;  // [n]
  std::int32_t* labels;      // [n] or null
  std::int64_t n;
  std::int32_t centre;
};
/// Grid: a thread per row.
template <class T>
static __global__ void take_over_rows(const TakeOverParams p) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.n || !(p.to_new[i] < p.squared_distances[i])) return;
  p.squared_distances[i] = p.to_new[i];
  if (p.labels != nullptr) p.labels[i] = p.centre;
}

}  // namespace stofm::kernels::kmeans
