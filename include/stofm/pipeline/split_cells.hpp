// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Cuts a slice into pieces of about `split_num` cells: squares of one grid. *Source* SPEC section 4.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/exact_rounding.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::pipeline {

namespace detail {
/// Squares along one side: [low + i step, low + (i + 1) step), i < count. One square if step is 0.
struct SquareAxis {
  double low = 0, step = 0;
  std::int64_t count = 1;

  /// The square of v, by the comparisons of the definition; what rounding leaves outside goes to the nearest.
  STOFM_UNFUSED std::int64_t index_of(double v) const {
    STOFM_UNFUSED_BODY  // a GPU gives the same squares
        if (!(step > 0)) return 0;
    auto i = static_cast<std::int64_t>(std::floor((v - low) / step));
    i = std::clamp<std::int64_t>(i, 0, count - 1);
    while (i > 0 && v < low + static_cast<double>(i) * step) --i;
    while (i + 1 < count && v >= low + static_cast<double>(i + 1) * step) ++i;
    return i;
  }
};

inline void append_pieces(std::vector<std::vector<std::int64_t>>& pieces, std::vector<std::int64_t> cells,
                          std::int64_t split_num) {
  const auto q = static_cast<std::int64_t>(cells.size());
  const std::int64_t parts = q / 2 >= split_num ? q / split_num : 1;
  auto begin = cells.begin();
  for (std::int64_t part = 0; part < parts; ++part) {  // numpy.array_split: the first q % parts get one more
    const auto end = begin + (q / parts + (part < q % parts ? 1 : 0));
    pieces.emplace_back(begin, end);
    begin = end;
  }
}
}  // namespace detail

/// Pieces of a slice, each a list of ascending cell indices; every cell is in exactly one.
/// *Shapes* `xy` [N, 2], any unit, rows dense. N <= split_num: one piece. Else squares of side sqrt(W H / s),
/// s = N / split_num + 1; columns outer, rows inner; empty squares skipped; a square with 2 split_num cells
/// or more is cut in index order. Ours: where one side of the bounding box is 0 (or 1e-12 of the other, which
/// is rounding), the cells are cut along the other into s + 1 stretches of length extent / s; where both are,
/// they are one square. \throws ShapeError, UsageError (STOFM-4203) for split_num < 1. *Cost* O(N log N).
/// *Deterministic* yes.
STOFM_INLINE std::vector<std::vector<std::int64_t>> split_cells(TensorView<const double> xy,
                                                                std::int64_t split_num = 1000);

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto pipeline::split_cells(TensorView<const double> xy, std::int64_t split_num)
    -> std::vector<std::vector<std::int64_t>> {
  if (xy.rank() != 2 || xy.dim(1) != 2 || xy.stride(1) != 1)
    throw ShapeError({"STOFM-4204", "", "[split_cells]", layout_text(xy), "[cells, 2], rows dense",
                      "Give x and y of each cell."});
  if (split_num < 1)
    throw UsageError({"STOFM-4203", "", "split", std::to_string(split_num), "at least 1 cell per piece",
                      "The published value is 1000."});
  const std::int64_t n = xy.dim(0);
  std::vector<std::vector<std::int64_t>> pieces;
  if (n == 0) return pieces;
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (n <= split_num) {
    pieces.push_back(std::move(order));
    return pieces;
  }
  detail::SquareAxis axis[2];
  double extent[2];
  for (int a = 0; a < 2; ++a) {
    double low = xy.row(0)[a], high = low;
    for (std::int64_t i = 0; i < n; ++i) {
      const double v = xy.row(i)[a];
      if (!std::isfinite(v))
        throw DataError({"STOFM-4205", "", concat("coordinates, row ", i), concat(v), "finite x and y",
                         "Drop this cell (H5adReadOptions::drop_bad_coords) or mend the file."});
      low = (std::min)(low, v);
      high = (std::max)(high, v);
    }
    axis[a].low = low;
    extent[a] = high - low;
  }
  const std::int64_t s = n / split_num + 1;
  const double longer = (std::max)(extent[0], extent[1]), shorter = (std::min)(extent[0], extent[1]);
  const bool flat = !(shorter > 1e-12 * longer);
  const double side =
      flat ? longer / static_cast<double>(s) : std::sqrt(extent[0] * extent[1] / static_cast<double>(s));
  for (int a = 0; a < 2; ++a) {
    if (!(side > 0) || (flat && extent[a] < longer)) continue;  // one column or one row
    axis[a].step = side;
    axis[a].count = static_cast<std::int64_t>(std::floor(extent[a] / side)) + 1;
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> square(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i)
    square[static_cast<std::size_t>(i)] = {axis[0].index_of(xy.row(i)[0]), axis[1].index_of(xy.row(i)[1])};
  auto square_of = [&square](std::int64_t i) { return square[static_cast<std::size_t>(i)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return square_of(a) < square_of(b); });
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end =
        std::find_if(begin, order.end(), [&](std::int64_t i) { return square_of(i) != square_of(*begin); });
    detail::append_pieces(pieces, {begin, end}, split_num);
    begin = end;
  }
  return pieces;
}

}  // namespace stofm
#endif
