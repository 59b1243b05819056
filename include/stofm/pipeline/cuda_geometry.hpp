// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Clusters, neighbours and pieces of a slice computed on a CUDA device, as the structs of the pipeline. The
/// answers are those of the CPU functions, bit by bit (of a build without contraction, as ours are), so
/// either may be used at any place. Everything runs on a stream of its own: what is queued for this thread
/// elsewhere goes on.

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/kmeans.hpp"
#include "stofm/backend/cuda/knn_2d.hpp"
#include "stofm/backend/cuda/sub_slices.hpp"
#include "stofm/cluster/knn_2d.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "stofm/pipeline/virtual_cells.hpp"

namespace stofm::pipeline {

/// A device for geometry. Not to be used from two threads at once.
class CudaGeometry {
 public:
  /// \throws DeviceError without such a device.
  explicit CudaGeometry(Cuda device) : device_(device), stream_(backend::create_stream(device)) {}
  CudaGeometry(const CudaGeometry&) = delete;
  CudaGeometry& operator=(const CudaGeometry&) = delete;
  ~CudaGeometry() { backend::destroy_stream(device_, stream_); }

  /// As cluster::mini_batch_kmeans. More columns or clusters than the kernels take: computed on the CPU.
  /// \throws as that; DeviceError, ResourceError
  cluster::MiniBatchKMeansResult mini_batch_kmeans(TensorView<const float> rows,
                                                   const cluster::MiniBatchKMeansOptions& options = {}) const;
  /// As cluster::nearest_neighbours_2d.
  cluster::Neighbours2d nearest_neighbours_2d(TensorView<const double> xy, std::int64_t k) const;
  /// As split_cells.
  std::vector<std::vector<std::int64_t>> split_cells(TensorView<const double> xy,
                                                     std::int64_t split_num = 1000) const;
  /// The most SubSliceOptions::neighbours that the kernels take.
  static constexpr std::int64_t most_listed_neighbours = 1025;
  /// Builds `pieces` as build_sub_slice would, their distances numbered, and calls `use(sub_slices)` while
  /// they lie on the device and this object's stream is the thread's current one. Their nodes have no cells.
  /// \throws as build_sub_slice, DataError STOFM-1330 for distances beyond float; DeviceError, ResourceError
  template <class Use>
  void with_sub_slices(std::span<const std::vector<std::int64_t>> pieces, TensorView<const double> xy,
                       TensorView<const double> virtual_xy, const SubSliceOptions& options,
                       const Use& use) const;
  /// As build_sub_slice for each of `pieces`, all at once.
  std::vector<SubSlice> build_sub_slices(std::span<const std::vector<std::int64_t>> pieces,
                                         TensorView<const double> xy, TensorView<const double> virtual_xy,
                                         const SubSliceOptions& options = {}) const;

 private:
  /// This object's stream in place of the thread's while it lives.
  class OnStream {
   public:
    OnStream(Cuda device, backend::CudaStream stream)
        : device_(device), before_(backend::current_stream(device)) {
      backend::set_current_stream(device, stream);
    }
    OnStream(const OnStream&) = delete;
    OnStream& operator=(const OnStream&) = delete;
    ~OnStream() { backend::set_current_stream(device_, before_); }

   private:
    Cuda device_;
    backend::CudaStream before_;
  };

  Cuda device_;
  backend::CudaStream stream_;
};

inline cluster::MiniBatchKMeansResult CudaGeometry::mini_batch_kmeans(
    TensorView<const float> rows, const cluster::MiniBatchKMeansOptions& options) const {
  constexpr std::int64_t most_columns = 1024, most_clusters = 4096;
  const std::int64_t n = rows.rank() == 2 ? rows.dim(0) : 0;
  const std::int64_t wanted = options.clusters > 0 ? options.clusters : cluster::kmeans_cluster_count(n);
  if (n == 0 || rows.dim(1) > most_columns || (std::min)(wanted, n) > most_clusters)
    return cluster::mini_batch_kmeans(rows, options);
  cluster::detail::check_mini_batch_kmeans(rows, options);
  const OnStream on_stream(device_, stream_);
  auto found = backend::mini_batch_kmeans(device_, rows,
                                          {.clusters = wanted,
                                           .batch = options.batch,
                                           .max_passes = options.max_passes,
                                           .patience = options.patience,
                                           .full_steps = options.full_steps,
                                           .seed = options.seed});
  cluster::MiniBatchKMeansResult result;
  result.labels = std::move(found.labels);
  result.centres = Tensor<float>::from({found.clusters, rows.dim(1)}, std::span<const float>(found.centres));
  result.clusters = found.clusters;
  result.inertia = found.inertia;
  result.batches = found.batches;
  result.settled = found.batches < cluster::detail::most_batches(n, options);
  cluster::detail::note_fewer_clusters(result, wanted);
  return result;
}

inline cluster::Neighbours2d CudaGeometry::nearest_neighbours_2d(TensorView<const double> xy,
                                                                 std::int64_t k) const {
  constexpr std::int64_t most_neighbours = 1024;
  cluster::detail::require_points_2d(xy, "[nearest_neighbours_2d]");
  if ((std::min)(k, xy.dim(0) - 1) > most_neighbours) return cluster::nearest_neighbours_2d(xy, k);
  const OnStream on_stream(device_, stream_);
  auto found = backend::nearest_neighbours_2d(device_, xy, k);
  return {found.points, found.k, std::move(found.indices), std::move(found.squared_distances)};
}

inline std::vector<std::vector<std::int64_t>> CudaGeometry::split_cells(TensorView<const double> xy,
                                                                        std::int64_t split_num) const {
  const OnStream on_stream(device_, stream_);
  const backend::SlicePieces found = backend::split_cells(device_, xy, split_num);
  std::vector<std::vector<std::int64_t>> pieces;
  for (std::size_t p = 0; p + 1 < found.offsets.size(); ++p)
    pieces.emplace_back(found.cells.begin() + found.offsets[p], found.cells.begin() + found.offsets[p + 1]);
  return pieces;
}

inline std::vector<SubSlice> CudaGeometry::build_sub_slices(std::span<const std::vector<std::int64_t>> pieces,
                                                            TensorView<const double> xy,
                                                            TensorView<const double> virtual_xy,
                                                            const SubSliceOptions& options) const {
  std::vector<SubSlice> subs;
  if (options.neighbours > most_listed_neighbours) {
    for (const auto& piece : pieces) subs.push_back(build_sub_slice(piece, xy, virtual_xy, options));
    return subs;
  }
  std::vector<std::int64_t> offsets{0}, cells;
  for (const auto& piece : pieces) {
    cells.insert(cells.end(), piece.begin(), piece.end());
    offsets.push_back(static_cast<std::int64_t>(cells.size()));
  }
  const OnStream on_stream(device_, stream_);
  const backend::SubSliceArrays found = backend::build_sub_slices(
      device_, offsets, cells, xy, virtual_xy,
      {.neighbours = options.neighbours, .stable_geometry = options.geometry == Geometry::stable});
  subs.resize(pieces.size());
  parallel_for(static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t first, std::int64_t last) {
    for (auto p = static_cast<std::size_t>(first); p < static_cast<std::size_t>(last); ++p) {
      SubSlice& sub = subs[p];
      const std::int64_t begin = found.node_offsets[p], end = found.node_offsets[p + 1];
      const auto node = [begin](const auto& values) { return values.begin() + begin; };
      sub.node_cells.assign(node(found.node_cells), node(found.node_cells) + (end - begin));
      sub.token_types.assign(node(found.token_types), node(found.token_types) + (end - begin));
      sub.xy = Tensor<double>({end - begin, 2});
      std::copy_n(found.xy.begin() + 2 * begin, 2 * (end - begin), sub.xy.data());
      sub.virtual_cells = found.virtual_cells;
      sub.coincident_pairs = found.coincident_pairs[p];
      sub.distances.nodes = end - begin;
      const std::int64_t entry = *node(found.row_offsets),
                         last_entry = *(node(found.row_offsets) + (end - begin));
      sub.distances.row_offsets.resize(static_cast<std::size_t>(end - begin) + 1);
      for (std::size_t r = 0; r < sub.distances.row_offsets.size(); ++r)
        sub.distances.row_offsets[r] = *(node(found.row_offsets) + static_cast<std::int64_t>(r)) - entry;
      sub.distances.columns.assign(found.columns.begin() + entry, found.columns.begin() + last_entry);
      sub.distances.values.assign(found.values.begin() + entry, found.values.begin() + last_entry);
    }
  });
  return subs;
}

template <class Use>
void CudaGeometry::with_sub_slices(std::span<const std::vector<std::int64_t>> pieces,
                                   TensorView<const double> xy, TensorView<const double> virtual_xy,
                                   const SubSliceOptions& options, const Use& use) const {
  // The cells of these pieces alone: a slice may have a thousand times as many.
  std::vector<std::int64_t> offsets{0}, numbers;
  std::vector<double> places;
  for (const auto& piece : pieces) {
    for (const std::int64_t cell : piece) {
      if (cell < 0 || cell >= xy.dim(0))
        throw ShapeError({"STOFM-4208", "", "[build_sub_slice]", concat("cell ", cell),
                          concat("a cell in [0, ", xy.dim(0), ")"), "Check the piece."});
      numbers.push_back(static_cast<std::int64_t>(numbers.size()));
      places.insert(places.end(), {xy.row(cell)[0], xy.row(cell)[1]});
    }
    offsets.push_back(static_cast<std::int64_t>(numbers.size()));
  }
  const auto cells =
      Tensor<double>::from({static_cast<std::int64_t>(numbers.size()), 2}, std::span<const double>(places));
  for (const auto& points : {std::as_const(cells).view(), virtual_xy})
    for (std::int64_t i = 0; i < points.dim(0); ++i)
      if (std::abs(points.row(i)[0]) > 1e38 || std::abs(points.row(i)[1]) > 1e38)
        throw DataError({"STOFM-1330", "", "distances", concat(points.row(i)[0], ", ", points.row(i)[1]),
                         "distances that a float holds", "Normalise the coordinates."});
  const OnStream on_stream(device_, stream_);
  use(backend::build_sub_slices_on_device(
      device_, offsets, numbers, std::as_const(cells).view(), virtual_xy,
      {.neighbours = options.neighbours, .stable_geometry = options.geometry == Geometry::stable}));
}

/// Clusters and neighbours on a device, for VirtualCellOptions. \throws DeviceError without such a device.
inline PointFunctions cuda_point_functions(Cuda device) {
  const auto geometry = std::make_shared<const CudaGeometry>(device);
  return {.nearest_neighbours = [geometry](TensorView<const double> xy,
                                           std::int64_t k) { return geometry->nearest_neighbours_2d(xy, k); },
          .mini_batch_kmeans =
              [geometry](TensorView<const float> rows, const cluster::MiniBatchKMeansOptions& options) {
                return geometry->mini_batch_kmeans(rows, options);
              }};
}

}  // namespace stofm::pipeline
