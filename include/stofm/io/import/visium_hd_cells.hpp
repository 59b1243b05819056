// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Visium HD by segmentation: segmented_outputs of Space Ranger 4, the counts of cells that it found in the
/// image. Read are filtered_feature_cell_matrix (.h5, or the folder of three files) and
/// cell_segmentations.geojson, whose centroids are the positions: pixels of the full image. Nuclei,
/// barcode_mappings.parquet and images are not looked at.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/import/cell_outlines.hpp"
#include "stofm/io/import/visium.hpp"

namespace stofm::io {

namespace detail {

/// The outlines of cells in a folder: as segmented, else those that carry the clusters of graphclust beside;
/// "" if there are none. \throws FileError (STOFM-3902) several samples
inline std::filesystem::path find_cell_outlines(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> plain, annotated;
  for (const auto& path :
       entries_ending(folder, {"cell_segmentations.geojson", "cell_segmentations.geojson.gz"}))
    (path.filename().string().find("annotated") == std::string::npos ? plain : annotated).push_back(path);
  return only_one(plain.empty() ? annotated : plain, folder);
}

/// The folder of segmented cells: `path`, or segmented_outputs in it; "" if neither is one.
inline std::filesystem::path find_segmented_cells(const std::filesystem::path& path) {
  for (const auto& folder : {path / "segmented_outputs", path}) {
    if (!entries_ending(folder, {"cell_segmentations.geojson", "cell_segmentations.geojson.gz",
                                 "feature_cell_matrix.h5", "feature_cell_matrix"})
             .empty())
      return folder;
  }
  return {};
}

}  // namespace detail

/// \param folder as detail::find_segmented_cells gives it
inline ImportSource open_visium_hd_cells(const std::filesystem::path& folder, const ImportContext& context) {
  ImportSource source;
  source.format = "visium-hd";
  source.unit = "px of the full image";
  source.grain = "segmented cells";
  const std::filesystem::path outlines = detail::find_cell_outlines(folder);
  if (outlines.empty())
    throw FileError({"STOFM-3903", folder.string(), "cell_segmentations.geojson",
                     "no outlines of cells in this folder of Visium HD", "GeoJSON of Space Ranger 4",
                     "Give the whole folder \"outs\", or take the squares with ImportOptions::bin = 8."});
  bool raw = false;
  FeatureMatrix matrix = detail::open_space_ranger_matrix(folder, raw, context, "cell");
  detail::finish_space_ranger(std::move(matrix), read_cell_outlines(outlines, context), raw, source);
  return source;
}

}  // namespace stofm::io
