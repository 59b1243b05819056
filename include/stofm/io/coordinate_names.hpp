// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which columns of a table are positions, told by their names: those that instruments and packages write.
///
/// A pair is two names that differ in one letter, x and y (x_centroid, CenterX_global_px, sdimx), in col and
/// row (pxl_col_in_fullres, imagecol: col is x, row is y), or spatial_1 and spatial_2. Corners and sizes
/// (min_x, Width), and axes of embeddings are none.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/lower_case.hpp"

namespace stofm::io {

/// What the numbers of a pair are, the better the larger.
enum class PlaceKind {
  array,  ///< rows and columns of an array: no unit of length, and a hexagon comes out stretched
  local,  ///< within a field of view: fields lie on each other
  plain,  ///< a length or pixels
  global  ///< explicitly of the whole slide
};

struct CoordinatePair {
  std::string x, y;
  PlaceKind kind = PlaceKind::plain;
};

namespace detail {

template <std::size_t N>
bool contains_one_of(const std::string& low, const std::array<const char*, N>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&low](const char* word) { return low.find(word) != std::string::npos; });
}

/// Names of what is computed from genes or describes an outline.
inline bool is_no_position(const std::string& low) {
  static constexpr std::array<const char*, 19> words{
      "nonspatial", "non_spatial", "non-spatial", "latent",  "umap",   "tsne",     "pca",
      "phate",      "embed",       "banksy",      "neighb",  "connec", "distance", "graph",
      "harmony",    "scvi",        "velocity",    "diffmap", "stofm"};
  return contains_one_of(low, words);
}

inline bool is_corner(const std::string& low) {
  static constexpr std::array<const char*, 6> words{"min", "max", "width", "height", "std", "var"};
  return contains_one_of(low, words);
}

inline PlaceKind place_kind(const std::string& low, bool rows_and_columns) {
  static constexpr std::array<const char*, 4> arrays{"array", "grid", "index", "idx"};
  static constexpr std::array<const char*, 2> locals{"local", "fov"};
  static constexpr std::array<const char*, 4> globals{"global", "slide", "fullres", "stage"};
  static constexpr std::array<const char*, 4> pixels{"image", "pxl", "pixel", "px"};
  if (contains_one_of(low, arrays)) return PlaceKind::array;
  if (contains_one_of(low, globals)) return PlaceKind::global;
  if (contains_one_of(low, locals)) return PlaceKind::local;
  return rows_and_columns && !contains_one_of(low, pixels) ? PlaceKind::array : PlaceKind::plain;
}

}  // namespace detail

/// All pairs among `names`: the best kind first, within a kind in the order of the names.
/// *Cost* O(names * their length * log names).
inline std::vector<CoordinatePair> find_coordinate_pairs(std::span<const std::string> names) {
  std::vector<std::string> sorted(names.begin(), names.end());
  std::sort(sorted.begin(), sorted.end());
  const auto is_there = [&sorted](const std::string& name) {
    return std::binary_search(sorted.begin(), sorted.end(), name);
  };
  std::vector<CoordinatePair> pairs;
  for (const std::string& name : names) {
    const std::string low = lower_case(name);
    if (name.size() > 200 || detail::is_no_position(low) || detail::is_corner(low)) continue;
    const std::size_t before = pairs.size();
    for (std::size_t i = 0; i < name.size() && pairs.size() == before; ++i) {
      if (low[i] != 'x') continue;
      std::string partner = name;
      partner[i] = name[i] == 'x' ? 'y' : 'Y';
      if (is_there(partner)) pairs.push_back({name, partner, detail::place_kind(low, false)});
    }
    for (const std::string_view word : {"col", "column"}) {
      const std::size_t at = low.find(word);
      if (at == std::string::npos || pairs.size() > before) continue;
      std::string partner = name;
      const bool capitals = name[at + 1] == 'O';
      partner.replace(at, word.size(), capitals ? "ROW" : name[at] == 'C' ? "Row" : "row");
      if (is_there(partner)) pairs.push_back({name, partner, detail::place_kind(low, true)});
    }
    static constexpr std::array<const char*, 3> numbered{"spatial", "coord", "pos"};
    if (pairs.size() == before && !name.empty() && (name.back() == '1' || name.back() == '0') &&
        detail::contains_one_of(low, numbered)) {
      std::string partner = name, previous = name;
      ++partner.back();
      --previous.back();
      if (is_there(partner) && !(name.back() == '1' && is_there(previous)))
        pairs.push_back({name, partner, detail::place_kind(low, false)});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const CoordinatePair& a, const CoordinatePair& b) { return a.kind > b.kind; });
  return pairs;
}

/// How good an obsm key is as the one with the positions; 0: it is none.
inline int spatial_key_rank(const std::string& key) {
  const std::string low = lower_case(key);
  if (detail::is_no_position(low)) return 0;
  if (key == "spatial") return 100;
  if (low == "spatial" || low == "x_spatial") return 90;
  static constexpr std::array<const char*, 4> places{"coord", "position", "location", "centroid"};
  const int rank = low.find("spatial") != std::string::npos                               ? 50
                   : detail::contains_one_of(low, places) || low == "xy" || low == "x_xy" ? 20
                                                                                          : 0;
  if (rank == 0) return 0;
  // squidpy: obsm["spatial_fov"] is the place on the slide, obsm["spatial"] that within the field.
  if (low.find("global") != std::string::npos || low == "spatial_fov") return rank + 5;
  return low.find("local") != std::string::npos ? rank - 10 : rank;
}

}  // namespace stofm::io
