// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One piece of a slice as the SE(2) Transformer sees it: nodes, their types, and the distances that are not
/// "far".
///
/// Nodes in order: CLS at (0, 0), all virtual cells, the cells of the piece. A cell lists its m - 1 nearest
/// other nodes, m = min(50, nodes - 1); an entry that only one of two nodes lists holds for both; virtual
/// cells list everything; CLS is at distance 0 of everything and so is a node of itself. Never an N x N
/// matrix. *Source* SPEC section 4.

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/cluster/point_tree_2d.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/core/exact_rounding.hpp"
#include "stofm/ops/pair_distances.hpp"
#include "stofm/pipeline/embed_choices.hpp"
#include "stofm/pipeline/split_cells.hpp"

namespace stofm::pipeline {

/// Types of nodes. *Source* SPEC section 4.
enum class NodeType : std::int32_t { cell = 0, cls = 1, virtual_cell = 2, padding = 3 };

struct SubSliceOptions {
  std::int64_t neighbours = 50;  ///< m: the node itself counted; SPEC section 4
  Geometry geometry = Geometry::reference;
};

/// One piece.
struct SubSlice {
  std::vector<std::int64_t> node_cells;   ///< [nodes] cell index in the slice, -1 for CLS and virtual cells
  std::vector<std::int32_t> token_types;  ///< [nodes] NodeType
  Tensor<double> xy;                      ///< [nodes, 2] normalised coordinates, CLS at 0
  PairDistances distances;                ///< symmetric
  std::int64_t virtual_cells = 0;
  std::int64_t coincident_pairs = 0;  ///< listed pairs of nodes (CLS aside) at one place

  std::int64_t nodes() const { return static_cast<std::int64_t>(node_cells.size()); }
  /// First node that is a cell.
  std::int64_t first_cell() const { return 1 + virtual_cells; }
};

namespace detail {
/// For each node the listed neighbours: `columns` of row i are offsets[i] .. offsets[i + 1].
struct NeighbourLists {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> columns;
};

/// The nearest nodes of every cell of the piece (rows of CLS and virtual cells stay empty: they are full
/// anyway).
inline NeighbourLists nearest_nodes(const Tensor<double>& xy, std::int64_t first_cell,
                                    const SubSliceOptions& options) {
  const std::int64_t n = xy.dim(0);
  NeighbourLists lists;
  lists.offsets.assign(static_cast<std::size_t>(n) + 1, 0);
  const std::int64_t k = (std::min)(options.neighbours, n - 1) - 1;
  if (k < 1) return lists;
  const bool keep_ties = options.geometry == Geometry::stable;
  const cluster::PointTree2d tree(xy.view(), k, keep_ties ? n : k + 1);
  std::vector<std::int32_t> pool;  // rows in the order of the queries
  std::vector<std::int64_t> start(static_cast<std::size_t>(n), 0);
  pool.reserve(static_cast<std::size_t>(n * (k + 4)));
  tree.visit(0, tree.queries(), [&](std::int32_t node, std::span<cluster::Candidate2d> found) {
    if (node < first_cell) return;
    start[static_cast<std::size_t>(node)] = static_cast<std::int64_t>(pool.size());
    for (std::int64_t j = 0; j < k; ++j) pool.push_back(found[static_cast<std::size_t>(j)].index);
    if (keep_ties) {
      float last = 0;
      for (std::int64_t j = 0; j < k; ++j)
        last = (std::max)(last, static_cast<float>(found[static_cast<std::size_t>(j)].squared_distance));
      for (auto j = static_cast<std::size_t>(k); j < found.size(); ++j)
        if (static_cast<float>(found[j].squared_distance) <= last) pool.push_back(found[j].index);
    }
    lists.offsets[static_cast<std::size_t>(node) + 1] =
        static_cast<std::int64_t>(pool.size()) - start[static_cast<std::size_t>(node)];
  });
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) lists.offsets[i + 1] += lists.offsets[i];
  lists.columns.resize(pool.size());
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
    std::copy_n(pool.begin() + start[i], lists.offsets[i + 1] - lists.offsets[i],
                lists.columns.begin() + lists.offsets[i]);
  return lists;
}

/// The transpose of lists: which nodes list this one, in ascending order.
inline NeighbourLists transposed(const NeighbourLists& lists) {
  NeighbourLists result;
  result.offsets.assign(lists.offsets.size(), 0);
  for (const std::int32_t j : lists.columns) ++result.offsets[static_cast<std::size_t>(j) + 1];
  for (std::size_t i = 1; i < result.offsets.size(); ++i) result.offsets[i] += result.offsets[i - 1];
  result.columns.resize(lists.columns.size());
  std::vector<std::int64_t> next(result.offsets.begin(), result.offsets.end() - 1);
  for (std::size_t i = 0; i + 1 < lists.offsets.size(); ++i)
    for (auto e = static_cast<std::size_t>(lists.offsets[i]);
         e < static_cast<std::size_t>(lists.offsets[i + 1]); ++e)
      result.columns[static_cast<std::size_t>(next[static_cast<std::size_t>(lists.columns[e])]++)] =
          static_cast<std::int32_t>(i);
  return result;
}

/// Fills sub.distances from its coordinates.
STOFM_UNFUSED inline void list_distances(SubSlice& sub, const SubSliceOptions& options) {
  STOFM_UNFUSED_BODY  // a GPU gives the same bits
      const std::int64_t n = sub.nodes(),
                         first_cell = sub.first_cell();
  const NeighbourLists lists = nearest_nodes(sub.xy, first_cell, options), listed_by = transposed(lists);
  PairDistances& out = sub.distances;
  out.nodes = n;
  out.row_offsets.assign(static_cast<std::size_t>(n) + 1, 0);
  const std::int64_t rows_full = checked_mul(first_cell, n, "distances");
  const std::int64_t room = 2 * rows_full + 2 * static_cast<std::int64_t>(lists.columns.size()) + n;
  out.columns.resize(static_cast<std::size_t>(room));
  out.values.resize(static_cast<std::size_t>(room));
  const double* const xy = sub.xy.data();
  std::int32_t* const columns = out.columns.data();
  float* const values = out.values.data();
  std::size_t place = 0;
  const auto count = static_cast<std::size_t>(n), cells_from = static_cast<std::size_t>(first_cell);
  // One row of marks; the words of a row are emptied while they are read.
  std::vector<std::uint64_t> marks((count + 63) / 64, 0);
  auto mark = [&marks](std::size_t j) { marks[j / 64] |= std::uint64_t{1} << (j % 64); };
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = place, full = i < cells_from ? count : cells_from;
    for (std::size_t j = 0; j < full; ++j) columns[place++] = static_cast<std::int32_t>(j);
    if (i >= cells_from) {
      mark(i);
      for (const NeighbourLists* side : {&lists, &listed_by})
        for (auto e = static_cast<std::size_t>(side->offsets[i]);
             e < static_cast<std::size_t>(side->offsets[i + 1]); ++e)
          mark(static_cast<std::size_t>(side->columns[e]));
      for (std::size_t w = 0; w < marks.size(); ++w) {
        std::uint64_t word = std::exchange(marks[w], 0);
        if (w < cells_from / 64) continue;  // CLS and virtual cells are listed already
        if (w == cells_from / 64) word &= ~std::uint64_t{0} << (cells_from % 64);
        for (; word != 0; word &= word - 1)
          columns[place++] =
              static_cast<std::int32_t>(w * 64 + static_cast<std::size_t>(std::countr_zero(word)));
      }
    }
    if (i == 0) {
      std::fill_n(values, place, 0.0F);
    } else {
      const double x = xy[2 * i], y = xy[2 * i + 1];
      std::int64_t zeros = 0, far = 0;
      for (std::size_t e = begin + 1; e < place; ++e) {
        const double *other = xy + 2 * columns[e], dx = x - other[0], dy = y - other[1];
        const auto d = static_cast<float>(std::sqrt(dx * dx + dy * dy));
        values[e] = d;
        zeros += d == 0;
        far += d == far_distance;
      }
      values[begin] = 0;                  // CLS
      sub.coincident_pairs += zeros - 1;  // the diagonal is one
      if (far > 0 || (zeros > 1 && options.geometry == Geometry::reference)) {
        std::size_t kept = begin + 1;
        for (std::size_t e = begin + 1; e < place; ++e) {
          columns[kept] = columns[e];
          values[kept] = values[e];
          const bool twin = values[e] == 0 && columns[e] != static_cast<std::int32_t>(i);
          kept += values[e] != far_distance && !(twin && options.geometry == Geometry::reference);
        }
        place = kept;
      }
    }
    out.row_offsets[i + 1] = static_cast<std::int64_t>(place);
  }
  out.columns.resize(place);
  out.values.resize(place);
  sub.coincident_pairs /= 2;
}
}  // namespace detail

/// Builds one piece.
/// *Shapes* `cells` indices into `xy` [N, 2] (normalised); `virtual_xy` [K, 2]; rows dense. Distances:
/// Euclidean in double, rounded to float. \throws ShapeError for other shapes, a cell outside [0, N) or
/// neighbours < 2; DataError for a coordinate that is not finite. *Cost* about 1.5 us a cell plus 8 bytes per
/// listed pair (14 % of n^2 at n = 1,050); one thread: call it for several pieces at once. *Deterministic*
/// yes.
STOFM_INLINE SubSlice build_sub_slice(std::span<const std::int64_t> cells, TensorView<const double> xy,
                                      TensorView<const double> virtual_xy,
                                      const SubSliceOptions& options = {});

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto pipeline::build_sub_slice(std::span<const std::int64_t> cells, TensorView<const double> xy,
                                            TensorView<const double> virtual_xy,
                                            const SubSliceOptions& options) -> SubSlice {
  for (const auto& points : {xy, virtual_xy})
    if (points.rank() != 2 || (points.dim(0) > 0 && (points.dim(1) != 2 || points.stride(1) != 1)))
      throw ShapeError({"STOFM-4206", "", "[build_sub_slice]", to_string(points.shape),
                        "[points, 2], rows dense", "Give x and y of each cell and of each virtual cell."});
  if (options.neighbours < 2)
    throw UsageError({"STOFM-4207", "", "neighbours", std::to_string(options.neighbours), "at least 2",
                      "The node itself counts; the published value is 50."});
  SubSlice sub;
  sub.virtual_cells = virtual_xy.dim(0);
  const std::int64_t n = 1 + sub.virtual_cells + static_cast<std::int64_t>(cells.size());
  sub.node_cells.assign(static_cast<std::size_t>(n), -1);
  sub.token_types.assign(static_cast<std::size_t>(n), static_cast<std::int32_t>(NodeType::virtual_cell));
  sub.token_types[0] = static_cast<std::int32_t>(NodeType::cls);
  sub.xy = Tensor<double>::zeros({n, 2});
  double* out = sub.xy.data() + 2;
  for (std::int64_t v = 0; v < sub.virtual_cells; ++v, out += 2) std::copy_n(virtual_xy.row(v), 2, out);
  for (std::size_t c = 0; c < cells.size(); ++c, out += 2) {
    if (cells[c] < 0 || cells[c] >= xy.dim(0))
      throw ShapeError({"STOFM-4208", "", "[build_sub_slice]", concat("cell ", cells[c]),
                        concat("a cell in [0, ", xy.dim(0), ")"), "Check the piece."});
    std::copy_n(xy.row(cells[c]), 2, out);
    sub.node_cells[static_cast<std::size_t>(sub.first_cell()) + c] = cells[c];
    sub.token_types[static_cast<std::size_t>(sub.first_cell()) + c] =
        static_cast<std::int32_t>(NodeType::cell);
  }
  detail::list_distances(sub, options);
  return sub;
}

}  // namespace stofm
#endif
