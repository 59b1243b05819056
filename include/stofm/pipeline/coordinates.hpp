// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Coordinates of a slice in the units of the model: centre of the bounding box at 0, its diagonal 100 long.
/// *Source* SPEC section 3.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::pipeline {

/// Normalised coordinates and what leads back: original = centre + xy * diagonal / 100.
struct NormalisedCoordinates {
  Tensor<double> xy;          ///< [N, 2]
  double centre[2] = {0, 0};  ///< in the unit of the input
  double diagonal = 0;        ///< of the bounding box, in the unit of the input; 0 if all cells coincide
  Notices notices;  ///< W4201 outliers dominate the extent, W4202 positions coarser than the spacing
};

namespace detail {
/// Cells beyond 10 diagonals of the box that holds the middle 90 % of each coordinate: they, not the tissue,
/// set the scale. 0 for fewer than 20 cells, where there is no telling.
inline std::int64_t count_outliers(TensorView<const double> xy) {
  const std::int64_t n = xy.dim(0);
  if (n < 20) return 0;
  double low[2], high[2];
  std::vector<double> values(static_cast<std::size_t>(n));
  for (int axis = 0; axis < 2; ++axis) {
    for (std::int64_t i = 0; i < n; ++i) values[static_cast<std::size_t>(i)] = xy.row(i)[axis];
    const auto a = values.begin() + n / 20, b = values.begin() + (n - 1 - n / 20);
    std::nth_element(values.begin(), a, values.end());
    low[axis] = *a;
    std::nth_element(values.begin(), b, values.end());
    high[axis] = *b;
  }
  const double reach = 10 * std::hypot(high[0] - low[0], high[1] - low[1]);
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < n; ++i)
    count += std::hypot(xy.row(i)[0] - (low[0] + high[0]) / 2, xy.row(i)[1] - (low[1] + high[1]) / 2) > reach;
  return count;
}
}  // namespace detail

/// Cells of [N, 2] whose place is that of another cell. *Cost* O(N log N).
inline std::int64_t count_cells_at_one_place(TensorView<const double> xy) {
  std::vector<std::pair<double, double>> places;
  for (std::int64_t i = 0; i < xy.dim(0); ++i) places.emplace_back(xy.row(i)[0], xy.row(i)[1]);
  std::sort(places.begin(), places.end());
  std::int64_t count = 0;
  for (std::size_t begin = 0, end = 0; begin < places.size(); begin = end) {
    while (end < places.size() && places[end] == places[begin]) ++end;
    if (end - begin > 1) count += static_cast<std::int64_t>(end - begin);
  }
  return count;
}

/// Centres and scales, in double. `xy` [N, 2] in any unit, with any offset. All cells at one place (one cell,
/// too): zeros. \throws ShapeError for another shape or N = 0, DataError (STOFM-4202) for a coordinate that
/// is not finite, with the count and the first rows. *Cost* O(N). *Deterministic* yes.
STOFM_INLINE NormalisedCoordinates normalise_coordinates(TensorView<const double> xy);

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto pipeline::normalise_coordinates(TensorView<const double> xy) -> NormalisedCoordinates {
  if (xy.rank() != 2 || xy.dim(1) != 2 || xy.dim(0) < 1)
    throw ShapeError({"STOFM-4201", "", "coordinates", to_string(xy.shape),
                      "[cells, 2] with at least one cell", "Give x and y of each cell."});
  const std::int64_t n = xy.dim(0);
  auto at = [&xy](std::int64_t i, int axis) { return xy.data[i * xy.stride(0) + axis * xy.stride(1)]; };
  std::int64_t bad = 0;
  std::string rows;
  double low[2] = {at(0, 0), at(0, 1)}, high[2] = {at(0, 0), at(0, 1)};
  bool all_float = true;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(at(i, 0)) || !std::isfinite(at(i, 1))) {
      if (++bad <= 5) rows += (rows.empty() ? "" : ", ") + std::to_string(i);
      continue;
    }
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = (std::min)(low[axis], at(i, axis));
      high[axis] = (std::max)(high[axis], at(i, axis));
      all_float = all_float && std::abs(at(i, axis)) < 1e38 &&
                  static_cast<double>(static_cast<float>(at(i, axis))) == at(i, axis);
    }
  }
  if (bad > 0)
    throw DataError({"STOFM-4202", "", "coordinates",
                     concat(bad, " cells with NaN or inf, rows ", rows, bad > 5 ? ", ..." : ""),
                     "finite x and y",
                     "Drop these cells (H5adReadOptions::drop_bad_coords) or mend the file."});
  NormalisedCoordinates result;
  result.xy = Tensor<double>({n, 2});
  const double largest =
      (std::max)({std::abs(low[0]), std::abs(high[0]), std::abs(low[1]), std::abs(high[1])});
  const double shrink = largest > 1e300 ? 0x1p-8 : 1.0;  // a power of two: exact, and nothing overflows
  const double half[2] = {(high[0] * shrink - low[0] * shrink) / 2, (high[1] * shrink - low[1] * shrink) / 2};
  const double half_diagonal = std::hypot(half[0], half[1]);
  const double centre[2] = {low[0] * shrink + half[0], low[1] * shrink + half[1]};
  for (int axis = 0; axis < 2; ++axis) result.centre[axis] = centre[axis] / shrink;
  result.diagonal = 2 * half_diagonal / shrink;
  for (std::int64_t i = 0; i < n; ++i)
    for (int axis = 0; axis < 2; ++axis)
      result.xy.data()[2 * i + axis] =
          half_diagonal > 0 ? (at(i, axis) * shrink - centre[axis]) / half_diagonal * 50 : 0.0;
  if (!(half_diagonal > 0)) return result;

  if (const std::int64_t outliers = detail::count_outliers(result.xy.view()); outliers > 0)
    result.notices.push_back(
        {"STOFM-W4201",
         concat("extent dominated by ", outliers, outliers == 1 ? " cell" : " cells",
                " far from all others: distances between the others shrink to almost nothing; drop ",
                outliers == 1 ? "it" : "them", " if misplaced"),
         outliers});
  const double spacing = result.diagonal / std::sqrt(static_cast<double>(n));
  if (all_float && spacing < 8 * largest * 0x1p-23)
    result.notices.push_back(
        {"STOFM-W4202",
         concat("coordinates are float32 with a large offset: they resolve ", largest * 0x1p-23,
                " while cells are about ", spacing, " apart; store them as float64 or without the offset"),
         n});
  return result;
}

}  // namespace stofm
#endif
