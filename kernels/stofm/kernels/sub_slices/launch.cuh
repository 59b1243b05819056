// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From a slice on the host to its pieces: what stands behind the functions of backend/cuda/sub_slices.hpp.

#include <algorithm>
#include <bit>
#include <cmath>

#include "stofm/backend/cuda/sub_slices.hpp"
#include "stofm/kernels/runtime/memory.cuh"
#include "stofm/kernels/sort/sort.hpp"
#include "stofm/kernels/sub_slices/sub_slices_forward.cuh"

namespace stofm::kernels::sub_slices {

// ---- squares ----

/// The grid of pipeline::split_cells() for a bounding box.
inline void choose_squares(const knn_2d::Box& box, std::int64_t n, std::int64_t split_num, Axis (&axis)[2]) {
  const double low[2] = {box.low_x, box.low_y};
  const double extent[2] = {box.high_x - box.low_x, box.high_y - box.low_y};
  const std::int64_t s = n / split_num + 1;
  const double longer = (std::max)(extent[0], extent[1]), shorter = (std::min)(extent[0], extent[1]);
  const bool flat = !(shorter > 1e-12 * longer);
  const double side =
      flat ? longer / static_cast<double>(s) : std::sqrt(extent[0] * extent[1] / static_cast<double>(s));
  for (int a = 0; a < 2; ++a) {
    axis[a] = {low[a], 0, 1};
    if (!(side > 0) || (flat && extent[a] < longer)) continue;  // one column or one row
    axis[a].step = side;
    axis[a].count = static_cast<std::int64_t>(std::floor(extent[a] / side)) + 1;
  }
}

/// Appends the pieces of one square: in nearly equal parts, the longer ones first, from 2 split_num cells on.
inline void append_square(backend::SlicePieces& pieces, std::int64_t cells, std::int64_t split_num) {
  const std::int64_t parts = cells / 2 >= split_num ? cells / split_num : 1;
  for (std::int64_t part = 0; part < parts; ++part)
    pieces.offsets.push_back(pieces.offsets.back() + cells / parts + (part < cells % parts ? 1 : 0));
}

/// `xy` has been checked for its shape.
inline backend::SlicePieces run_split(Cuda device, TensorView<const double> xy, std::int64_t split_num) {
  const std::int64_t n = xy.dim(0);
  backend::SlicePieces pieces;
  pieces.cells.resize(static_cast<std::size_t>(n));
  if (n == 0) return pieces;
  if (n <= split_num) {
    for (std::int64_t i = 0; i < n; ++i) pieces.cells[static_cast<std::size_t>(i)] = i;
    pieces.offsets.push_back(n);
    return pieces;
  }
  for (std::int64_t i = 0; i < n; ++i)
    for (int a = 0; a < 2; ++a)
      if (!std::isfinite(xy.row(i)[a]))
        throw DataError({"STOFM-4205", "", concat("coordinates, row ", i), concat(xy.row(i)[a]),
                         "finite x and y", "Drop this cell (--drop-bad-coords) or mend the file."});
  const CudaStream stream = backend::current_stream(device);
  const DeviceArray<double> points(device, 2 * n);
  backend::copy_rows(device, points.data(), 16, xy.data, xy.stride(0) * 8, 16, n,
                     backend::CopyDirection::to_device);
  const DeviceArray<knn_2d::Box> boxes(device, knn_2d::most_box_blocks);
  knn_2d::launch_bounding_box(points.data(), n, boxes.data(), stream);
  knn_2d::Box box;
  boxes.download(&box, 1);
  Axis axis[2];
  choose_squares(box, n, split_num, axis);
  const std::uint64_t squares =
      static_cast<std::uint64_t>(checked_mul(axis[0].count, axis[1].count, "squares of the slice"));
  const DeviceArray<std::uint64_t> keys(device, n);
  const DeviceArray<std::uint32_t> cells(device, n);
  launch(squares_of_cells<double>, per_item(n, stream, "squares_of_cells"),
         {points.data(), keys.data(), cells.data(), n, axis[0], axis[1]});
  sort_pairs(device, keys.data(), cells.data(), n,
             (std::max)(1, static_cast<int>(std::bit_width(squares - 1))));
  const std::vector<std::uint32_t> sorted = cells.to_host();
  const std::vector<std::uint64_t> square = keys.to_host();
  std::copy(sorted.begin(), sorted.end(), pieces.cells.begin());
  for (std::size_t begin = 0; begin < square.size();) {
    std::size_t end = begin;
    while (end < square.size() && square[end] == square[begin]) ++end;
    append_square(pieces, static_cast<std::int64_t>(end - begin), split_num);
    begin = end;
  }
  return pieces;
}

// ---- pieces ----

/// What the caller of build_sub_slices() gave.
struct BuildInput {
  std::span<const std::int64_t> offsets;
  std::span<const std::int64_t> cells;
  TensorView<const double> xy;
  TensorView<const double> virtual_xy;
  backend::SubSliceSettings settings;
};

/// \throws ShapeError, UsageError, DataError
inline void check_input(const BuildInput& in) {
  for (const auto& points : {in.xy, in.virtual_xy}) {
    if (points.rank() != 2 || (points.dim(0) > 0 && (points.dim(1) != 2 || points.stride(1) != 1)))
      throw ShapeError({"STOFM-4206", "", "[build_sub_slices]", to_string(points.shape),
                        "[points, 2], rows dense", "Give x and y of each cell and of each virtual cell."});
    for (std::int64_t i = 0; i < points.dim(0); ++i)
      if (!(std::abs(points.row(i)[0]) <= 1e150) || !(std::abs(points.row(i)[1]) <= 1e150))
        throw DataError({"STOFM-1203", "", concat("[build_sub_slices] row ", i),
                         concat(points.row(i)[0], ", ", points.row(i)[1]), "finite coordinates below 1e150",
                         "Drop or mend this point."});
  }
  if (in.settings.neighbours < 2 || in.settings.neighbours > knn_2d::most_neighbours + 1)
    throw UsageError({"STOFM-4207", "", "neighbours", std::to_string(in.settings.neighbours),
                      concat("2 to ", knn_2d::most_neighbours + 1),
                      "The node itself counts; the published value is 50."});
  if (in.offsets.empty() || in.offsets.front() != 0 ||
      in.offsets.back() != static_cast<std::int64_t>(in.cells.size()) ||
      !std::is_sorted(in.offsets.begin(), in.offsets.end()))
    throw ShapeError({"STOFM-4206", "", "[build_sub_slices]", concat(in.offsets.size(), " offsets"),
                      concat("offsets that ascend from 0 to ", in.cells.size()), "Check the pieces."});
  for (const std::int64_t cell : in.cells)
    if (cell < 0 || cell >= in.xy.dim(0))
      throw ShapeError({"STOFM-4208", "", "[build_sub_slices]", concat("cell ", cell),
                        concat("a cell in [0, ", in.xy.dim(0), ")"), "Check the pieces."});
}

template <int Warps>
void launch_thresholds(const ThresholdParams& params, CudaStream stream) {
  launch(find_thresholds<Warps>,
         {.grid = {blocks(params.pieces.nodes, Warps)},
          .block = {Warps * warp_size},
          .shared_bytes = static_cast<std::size_t>(Warps * knn_2d::buffer_bytes(params.neighbours - 1)),
          .stream = stream,
          .name = "find_thresholds"},
         params);
}

inline backend::DeviceSubSlices run_build(Cuda device, const BuildInput& in) {
  check_input(in);
  const CudaStream stream = backend::current_stream(device);
  const auto pieces = static_cast<std::int64_t>(in.offsets.size()) - 1;
  backend::DeviceSubSlices out;
  out.virtual_cells = in.virtual_xy.dim(0);
  std::vector<std::int32_t> piece_of_row;
  for (std::int64_t p = 0; p < pieces; ++p) {
    const auto at = static_cast<std::size_t>(p);
    out.node_offsets.push_back(checked_add(
        out.node_offsets.back(), 1 + out.virtual_cells + in.offsets[at + 1] - in.offsets[at], "nodes"));
    piece_of_row.resize(static_cast<std::size_t>(out.node_offsets.back()), static_cast<std::int32_t>(p));
  }
  out.nodes = out.node_offsets.back();
  const std::int64_t nodes = out.nodes;
  const auto tensor = [device](auto zero, Shape shape) {
    return Tensor<decltype(zero), Cuda>(shape, device);
  };
  out.device_node_offsets = tensor(std::int64_t{}, {pieces + 1});
  out.node_cells = tensor(std::int64_t{}, {nodes});
  out.token_types = tensor(std::int32_t{}, {nodes});
  out.xy = tensor(double{}, {nodes, 2});
  out.row_offsets = tensor(std::int64_t{}, {nodes + 1});
  backend::fill_bytes(device, out.row_offsets.data() + nodes, 0, 8);  // what the sums end with
  backend::copy_rows(device, out.device_node_offsets.data(), 8, out.node_offsets.data(), 8, 8 * (pieces + 1),
                     1, backend::CopyDirection::to_device);
  if (nodes == 0) return out;

  const DeviceArray<std::int64_t> cell_offsets(device, in.offsets.data(), pieces + 1),
      cells(device, in.cells.data(), static_cast<std::int64_t>(in.cells.size()));
  const DeviceArray<std::int32_t> device_piece_of_row(device, piece_of_row.data(), nodes),
      zeros(device, nodes);
  const DeviceArray<double> xy(device, 2 * in.xy.dim(0)), virtual_xy(device, 2 * in.virtual_xy.dim(0));
  const auto upload = [device](const DeviceArray<double>& to, const TensorView<const double>& from) {
    if (from.dim(0) > 0)
      backend::copy_rows(device, to.data(), 16, from.data, from.dim(0) > 1 ? from.stride(0) * 8 : 16, 16,
                         from.dim(0), backend::CopyDirection::to_device);
  };
  upload(xy, in.xy);
  upload(virtual_xy, in.virtual_xy);
  const DeviceArray<Threshold> thresholds(device, nodes);
  const Pieces on_device{
      cell_offsets.data(), out.device_node_offsets.data(), device_piece_of_row.data(), pieces, nodes,
      out.virtual_cells};
  launch(place_nodes<double>, per_item(nodes, stream, "place_nodes"),
         {on_device, cells.data(), xy.data(), virtual_xy.data(), out.node_cells.data(),
          out.token_types.data(), out.xy.data()});
  const ThresholdParams threshold_params{
      on_device, out.xy.data(), thresholds.data(), in.settings.neighbours,
      static_cast<int>(knn_2d::buffer_capacity(in.settings.neighbours - 1))};
  switch (knn_2d::warps_for(in.settings.neighbours - 1)) {
    case 8:
      launch_thresholds<8>(threshold_params, stream);
      break;
    case 4:
      launch_thresholds<4>(threshold_params, stream);
      break;
    default:
      launch_thresholds<2>(threshold_params, stream);
  }
  RowParams rows{on_device,    out.xy.data(), thresholds.data(), out.row_offsets.data(),
                 zeros.data(), nullptr,       nullptr,           in.settings.stable_geometry};
  const LaunchConfig per_row{.grid = {blocks(nodes, row_warps)},
                             .block = {row_warps * warp_size},
                             .stream = stream,
                             .name = "list_rows"};
  launch(list_rows<false, row_warps>, per_row, rows);
  running_sums(device, out.row_offsets.data(), nodes);
  const DeviceArray<PieceCounts> counts(device, pieces);
  launch(count_pieces<PieceCountStorage>,
         {.grid = {blocks(pieces)},
          .block = {count_threads},
          .shared_bytes = sizeof(PieceCountStorage),
          .stream = stream,
          .name = "count_pieces"},
         {on_device, out.row_offsets.data(), zeros.data(), counts.data()});
  for (const PieceCounts& piece : counts.to_host()) {
    out.entry_offsets.push_back(piece.entries_end);
    out.coincident_pairs.push_back(piece.coincident_pairs);
  }
  out.entries = out.entry_offsets.back();
  out.columns = tensor(std::int32_t{}, {out.entries});
  out.values = tensor(float{}, {out.entries});
  rows.columns = out.columns.data();
  rows.values = out.values.data();
  launch(list_rows<true, row_warps>, per_row, rows);
  return out;
}

/// Copies what is on the device to the host.
inline backend::SubSliceArrays to_host_arrays(const backend::DeviceSubSlices& from) {
  backend::SubSliceArrays to;
  const auto fetch = [](const auto& tensor) {
    using T = typename std::remove_cvref_t<decltype(tensor)>::value_type;
    std::vector<T> values(static_cast<std::size_t>(tensor.numel()));
    const std::int64_t bytes = tensor.numel() * static_cast<std::int64_t>(sizeof(T));
    if (bytes > 0)
      backend::copy_rows(tensor.device(), values.data(), bytes, tensor.data(), bytes, bytes, 1,
                         backend::CopyDirection::to_host);
    return values;
  };
  to.virtual_cells = from.virtual_cells;
  to.node_offsets = from.node_offsets;
  to.node_cells = fetch(from.node_cells);
  to.token_types = fetch(from.token_types);
  to.xy = fetch(from.xy);
  to.row_offsets = fetch(from.row_offsets);
  to.columns = fetch(from.columns);
  to.values = fetch(from.values);
  to.coincident_pairs = from.coincident_pairs;
  const Cuda device = from.row_offsets.device();
  backend::synchronize(device, backend::current_stream(device));
  return to;
}

}  // namespace stofm::kernels::sub_slices
