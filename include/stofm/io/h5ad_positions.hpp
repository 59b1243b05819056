// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Positions of cells as they were found, before any is left out. No libhdf5 here.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::io {

/// Coordinates of all cells of the file, and which of them are usable.
struct H5adCoordinates {
  std::vector<double> xy;              ///< [2 * cells of the file], x and y of a cell side by side
  std::vector<double> z;               ///< [cells of the file] of a third column, or empty
  std::string source;                  ///< "obsm/spatial", "obs/x, obs/y", "given"; "": there are none
  std::vector<std::int64_t> bad_rows;  ///< rows with NaN or inf
};

namespace detail {

/// "3 cells with NaN or infinite coordinates, rows 1, 5, 9": the first ten of them.
inline std::string bad_rows_text(const std::vector<std::int64_t>& bad) {
  std::string rows;
  for (std::size_t i = 0; i < (std::min<std::size_t>)(10, bad.size()); ++i)
    rows += (i > 0 ? ", " : "") + std::to_string(bad[i]);
  return concat(bad.size(), bad.size() == 1 ? " cell" : " cells", " with NaN or infinite coordinates, ",
                bad.size() == 1 ? "row " : "rows ", rows, bad.size() > 10 ? ", ..." : "");
}

/// Some position of these is finite, and not all of them are one place.
inline bool are_places(const std::vector<double>& xy) {
  std::size_t first = xy.size();
  for (std::size_t i = 0; i + 1 < xy.size(); i += 2) {
    if (!std::isfinite(xy[i]) || !std::isfinite(xy[i + 1])) continue;
    if (first == xy.size()) first = i;
    if (xy[i] != xy[first] || xy[i + 1] != xy[first + 1]) return true;
  }
  return first < xy.size() && xy.size() == 2;
}

/// Other places of the same cells, with the option that names them.
struct OtherPlaces {
  std::string option;  ///< "H5adReadOptions::spatial_key = spatial_fov"
  std::vector<double> xy;
};

}  // namespace detail

}  // namespace stofm::io
