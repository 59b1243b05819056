// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pieces of a slice with their distances (pipeline/sub_slices.hpp), many at once, without an n x n matrix.
///
/// A cell lists the other nodes that come no later than its k-th nearest, by (squared distance, node), k = m
/// - 2; with stable geometry those whose squared distance, as a float, is not above the k-th. So the
/// threshold of a cell says all about its list, and the mirror rule needs no transposed lists:
///   (i, j) is listed if either is CLS or a virtual cell, or i = j, or j is within the threshold of i or i
///   within that of j. Squared distances are the same from both sides, to the bit.
/// Values: |x_i - x_j| rounded to float; rows and columns of CLS 0; entries of 100 are left out, and with
/// reference geometry those of different nodes at one place.
///
///   place_nodes     a thread a node: cell, type, coordinates
///   find_thresholds a warp a cell: all nodes of its piece go past a buffer of the nearest (knn_2d)
///   list_rows       a warp a row: 32 columns at a time; one pass counts, the next one writes
///   running_sums    offsets of the rows from their counts (sort/)
/// Limiter: double units, about 3 passes of 8 operations over the n^2 pairs of each piece; listed pairs are
/// written once. No barriers of the block but where a piece is counted, no atomics; deterministic.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/knn_2d/bounding_box.cuh"
#include "stofm/kernels/knn_2d/nearest_buffer.cuh"

namespace stofm::kernels::sub_slices {

/// Numbers of pipeline::NodeType.
inline constexpr std::int32_t type_cell = 0, type_cls = 1, type_virtual_cell = 2;
inline constexpr float far_value = 100.0F;

/// Rows of distances a block lists, one warp each; threads that count a piece.
inline constexpr int row_warps = 8, count_threads = 256;

struct Pieces {
  const std::int64_t* cell_offsets;  // [pieces + 1] into cells
  const std::int64_t* node_offsets;  // [pieces + 1]
  const std::int32_t* piece_of_row;  // [nodes] piece of each node
  std::int64_t pieces, nodes, virtual_cells;

  /// First node that is a cell, within a piece.
  __host__ __device__ std::int64_t first_cell() const { return 1 + virtual_cells; }
};

struct NodeParams {
  Pieces pieces;
  const std::int64_t* cells;  // cells of all pieces, one after the other
  const double* xy;           // [N, 2]
  const double* virtual_xy;   // [K, 2]
  std::int64_t* node_cells;   // [nodes]
  std::int32_t* token_types;  // [nodes]
  double* node_xy;            // [nodes, 2]
};
/// Grid: a thread per node.
template <class T>
static __global__ void place_nodes(const NodeParams p) {
  const std::int64_t node = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (node >= p.pieces.nodes) return;
  const std::int64_t piece = p.pieces.piece_of_row[node];
  const std::int64_t within = node - p.pieces.node_offsets[piece], first_cell = p.pieces.first_cell();
  std::int64_t cell = -1;
  double x = 0, y = 0;
  if (within >= first_cell) {
    cell = p.cells[p.pieces.cell_offsets[piece] + within - first_cell];
    x = p.xy[2 * cell];
    y = p.xy[2 * cell + 1];
  } else if (within > 0) {
    x = p.virtual_xy[2 * (within - 1)];
    y = p.virtual_xy[2 * (within - 1) + 1];
  }
  p.node_cells[node] = cell;
  p.token_types[node] = within >= first_cell ? type_cell : within > 0 ? type_virtual_cell : type_cls;
  p.node_xy[2 * node] = x;
  p.node_xy[2 * node + 1] = y;
}

/// What a cell lists: nodes that come no later. Nothing: distance -1.
struct Threshold {
  double squared_distance;
  std::uint32_t node;  ///< within the piece
  __device__ __forceinline__ bool admits(double d, std::uint32_t other, bool stable) const {
    if (squared_distance < 0) return false;
    if (stable) return static_cast<float>(d) <= static_cast<float>(squared_distance);
    return d < squared_distance || (d == squared_distance && other <= node);
  }
};

struct ThresholdParams {
  Pieces pieces;
  const double* node_xy;    // [nodes, 2]
  Threshold* thresholds;    // [nodes]
  std::int64_t neighbours;  ///< m, the node itself counted
  int capacity;             ///< knn_2d::buffer_capacity(m - 1)
};
/// Grid: a warp per node, `Warps` a block. Shared: a buffer per warp.
template <int Warps>
static __global__ void find_thresholds(const ThresholdParams p) {
  const std::int64_t node = std::int64_t(blockIdx.x) * Warps + warp();
  if (node >= p.pieces.nodes) return;  // the whole warp
  const std::int64_t piece = p.pieces.piece_of_row[node], begin = p.pieces.node_offsets[piece];
  const std::int64_t n = p.pieces.node_offsets[piece + 1] - begin, within = node - begin;
  const std::int64_t k = minimum(p.neighbours, n - 1) - 1;
  if (within < p.pieces.first_cell() || k < 1) {
    if (lane() == 0) p.thresholds[node] = {-1.0, 0};
    return;
  }
  knn_2d::NearestBuffer found(shared_bytes(), p.capacity, k);
  const double x = p.node_xy[2 * node], y = p.node_xy[2 * node + 1];
  const double* xy = p.node_xy + 2 * begin;
  for (std::int64_t first = 0; first < n; first += warp_size) {
    const std::int64_t j = first + lane();
    const bool valid = j < n && j != within;
    found.offer(valid ? knn_2d::squared_distance(xy[2 * j], xy[2 * j + 1], x, y) : 0.0,
                static_cast<std::uint32_t>(j), valid);
  }
  found.keep_nearest();
  if (lane() == 0) p.thresholds[node] = {found.bound_distance(), found.bound_index()};
}

struct RowParams {
  Pieces pieces;
  const double* node_xy;        // [nodes, 2]
  const Threshold* thresholds;  // [nodes]
  std::int64_t* row_offsets;    // [nodes + 1] counting: row i's count at i; writing: read
  std::int32_t* zeros;    // [nodes] counting: listed nodes at the place of each node, itself and CLS aside
  std::int32_t* columns;  // [entries], null while counting
  float* values;          // [entries]
  bool stable;
};

/// Entry (i, j) of a piece: whether it is listed, and its value.
struct Entry {
  float value;
  bool listed, kept;
};
__device__ __forceinline__ Entry entry_of(const RowParams& p, std::int64_t begin, std::int64_t i,
                                          std::int64_t j) {
  const std::int64_t first_cell = p.pieces.first_cell();
  if (i == 0 || j == 0) return {0.0F, true, true};
  const double* a = p.node_xy + 2 * (begin + i);
  const double* b = p.node_xy + 2 * (begin + j);
  const double d = knn_2d::squared_distance(a[0], a[1], b[0], b[1]);
  const bool listed = i < first_cell || j < first_cell || i == j ||
                      p.thresholds[begin + i].admits(d, static_cast<std::uint32_t>(j), p.stable) ||
                      p.thresholds[begin + j].admits(d, static_cast<std::uint32_t>(i), p.stable);
  if (!listed) return {0.0F, false, false};
  const auto value = static_cast<float>(sqrt(d));
  const bool twin = value == 0.0F && i != j;
  return {value, true, value != far_value && !(twin && !p.stable)};
}

/// Counts or writes the rows. Grid: a warp per row, `Warps` a block.
template <bool Write, int Warps>
static __global__ void list_rows(const RowParams p) {
  const std::int64_t node = std::int64_t(blockIdx.x) * Warps + warp();
  if (node >= p.pieces.nodes) return;  // the whole warp
  const std::int64_t piece = p.pieces.piece_of_row[node], begin = p.pieces.node_offsets[piece];
  const std::int64_t n = p.pieces.node_offsets[piece + 1] - begin, i = node - begin;
  const std::uint32_t lower = (1U << lane()) - 1U;
  std::int64_t place = Write ? p.row_offsets[node] : 0;
  std::int32_t zeros = 0;
  for (std::int64_t first = 0; first < n; first += warp_size) {
    const std::int64_t j = first + lane();
    const Entry entry = j < n ? entry_of(p, begin, i, j) : Entry{0.0F, false, false};
    const std::uint32_t kept = ballot(entry.kept);
    if constexpr (Write) {
      if (entry.kept) {
        const std::int64_t at = place + count_bits(kept & lower);
        p.columns[at] = static_cast<std::int32_t>(j);
        p.values[at] = entry.value;
      }
    } else {
      zeros += count_bits(ballot(entry.listed && entry.value == 0.0F && i != 0 && j != 0 && j != i));
    }
    place += count_bits(kept);
  }
  if (Write || lane() != 0) return;
  p.row_offsets[node] = place;
  p.zeros[node] = zeros;
}

struct PieceCounts {
  std::int64_t entries_end;  ///< entries of this piece and of all before it
  std::int64_t coincident_pairs;
};
struct PieceCountParams {
  Pieces pieces;
  const std::int64_t* row_offsets;  // [nodes + 1]
  const std::int32_t* zeros;        // [nodes]
  PieceCounts* counts;              // [pieces]
};
struct PieceCountStorage {
  std::int64_t warp_sums[count_threads / warp_size];
};
/// Grid: a block of 256 threads per piece.
template <class Storage>
static __global__ void count_pieces(const PieceCountParams p) {
  auto& shared = shared_memory<Storage>();
  const std::int64_t piece = blockIdx.x, end = p.pieces.node_offsets[piece + 1];
  std::int64_t sum = 0;
  for (std::int64_t node = p.pieces.node_offsets[piece] + threadIdx.x; node < end; node += count_threads)
    sum += p.zeros[node];
  sum = block_sum(sum, shared.warp_sums);
  if (threadIdx.x == 0) p.counts[piece] = {p.row_offsets[end], sum / 2};
}

// ---- The squares of a slice (pipeline/split_cells.hpp): which square each cell is in, by the comparisons of the
// definition with the CPU's roundings; the host chose the grid from the bounding box. Cells are then sorted by
// (column, row), stable, so that each square has its cells in ascending order. Limiter: bytes, 16 read and 12
// written a cell.

/// Squares along one side: [low + i step, low + (i + 1) step), i < count. One square if step is 0.
struct Axis {
  double low = 0, step = 0;
  std::int64_t count = 1;
};

/// As pipeline::detail::SquareAxis::index_of.
__device__ __forceinline__ std::int64_t square_of(const Axis& axis, double v) {
  if (!(axis.step > 0)) return 0;
  auto i = static_cast<std::int64_t>(floor(rounded_add(v, -axis.low) / axis.step));
  i = minimum(maximum<std::int64_t>(i, 0), axis.count - 1);
  const auto border = [&axis](std::int64_t at) {
    return rounded_add(axis.low, rounded_multiply(static_cast<double>(at), axis.step));
  };
  while (i > 0 && v < border(i)) --i;
  while (i + 1 < axis.count && v >= border(i + 1)) ++i;
  return i;
}

struct SquareParams {
  const double* xy;      // [n, 2]
  std::uint64_t* keys;   // [n] column * rows + row
  std::uint32_t* cells;  // [n] 0, 1, ...
  std::int64_t n;
  Axis x, y;
};
/// Grid: a thread per cell.
template <class T>
static __global__ void squares_of_cells(const SquareParams p) {
  const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= p.n) return;
  p.keys[i] =
      static_cast<std::uint64_t>(square_of(p.x, p.xy[2 * i]) * p.y.count + square_of(p.y, p.xy[2 * i + 1]));
  p.cells[i] = static_cast<std::uint32_t>(i);
}

}  // namespace stofm::kernels::sub_slices
