// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Visium: the folder "outs" of Space Ranger. Read are the matrix (filtered before raw, .h5 before the three
/// files) and spatial/tissue_positions: tissue_positions_list.csv without names up to version 1,
/// tissue_positions.csv with them from version 2 on, told apart by what is in them. Images, scale factors and
/// versions are not looked at. Several sections in one folder: aggregated_sections.hpp. Positions are pixels
/// of the full image, x to the right: (pxl_col, pxl_row).

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/import/aggregated_sections.hpp"
#include "stofm/io/import/folder_entries.hpp"
#include "stofm/io/import/import_positions.hpp"
#include "stofm/io/import/matrix_market.hpp"
#include "stofm/io/import/tenx_h5.hpp"

namespace stofm::io {

namespace detail {

/// The matrix of a folder of Space Ranger: filtered before raw. `raw`: only that one is there. \param columns
/// "bc" for barcodes of spots and squares, "cell" for segmented cells
inline FeatureMatrix open_space_ranger_matrix(const std::filesystem::path& folder, bool& raw,
                                              const ImportContext& context, std::string_view columns = "bc") {
  for (const char* kind : {"filtered", "raw"}) {
    const std::string stem = concat(kind, "_feature_", columns, "_matrix");
    raw = std::string(kind) == "raw";
    if (const auto file = only_one(entries_ending(folder, {stem + ".h5"}), folder); !file.empty())
      return open_tenx_h5(file, context);
    for (const auto& inner : {folder / stem, folder / (stem + "s")})
      if (is_matrix_folder(inner)) return open_matrix_folder(inner, context);
  }
  const std::string stem = concat("filtered_feature_", columns, "_matrix");
  throw FileError({"STOFM-3903", folder.string(), concat(stem, ".h5 or ", stem, "/matrix.mtx.gz"),
                   "no matrix of counts in this folder of Space Ranger", "one of the two",
                   "Give the whole folder \"outs\", or copy the matrix into it."});
}

}  // namespace detail

/// spatial/tissue_positions*.csv as Space Ranger writes it. obs: in_tissue, array_row, array_col.
inline PositionTable read_tissue_positions(const std::filesystem::path& path, const ImportContext& context) {
  DelimitedTable table(path, {.progress = context.reading("positions")});
  if (detail::first_line_is_numbers(table) && table.columns() == 6)
    table.first_line_is_record(
        {"barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"});
  const char* remedy = "Give tissue_positions.csv or tissue_positions_list.csv as Space Ranger wrote it.";
  const std::size_t id = table.require({"barcode"}, remedy);
  const std::size_t y = table.require({"pxl_row_in_fullres"}, remedy);
  const std::size_t x = table.require({"pxl_col_in_fullres"}, remedy);
  PositionTable positions;
  positions.file = path.string();
  std::vector<std::size_t> sources;
  for (const char* name : {"in_tissue", "array_row", "array_col"})
    if (const std::int64_t found = table.find(name); found >= 0) {
      sources.push_back(static_cast<std::size_t>(found));
      positions.obs.emplace_back().name = name;
    }
  while (table.next()) {
    positions.ids.push_back(table.text(id));
    positions.xy.push_back(table.coordinate(x));
    positions.xy.push_back(table.coordinate(y));
    for (std::size_t i = 0; i < sources.size(); ++i)
      positions.obs[i].integers.push_back(static_cast<std::int64_t>(table.count(sources[i])));
  }
  return positions;
}

namespace detail {

/// Joins a matrix of Space Ranger with its positions. Spots beside the tissue are left out of a raw matrix.
inline void finish_space_ranger(FeatureMatrix matrix, const PositionTable& positions, bool raw,
                                ImportSource& source) {
  std::vector<char> wanted;
  if (raw && !positions.obs.empty() && positions.obs.front().name == "in_tissue")
    for (const std::int64_t on : positions.obs.front().integers) wanted.push_back(on != 0 ? 1 : 0);
  std::vector<std::int64_t> row_of =
      join_positions(matrix.barcodes, matrix.files.front(), positions, wanted, source);
  source.files = matrix.files;
  source.files.push_back(positions.file);
  source.features = std::move(matrix.features);
  source.stream = [stream = std::move(matrix.stream), row_of = std::move(row_of)](CountSink& sink) {
    stream(sink, row_of);
  };
}

}  // namespace detail

inline ImportSource open_visium(const std::filesystem::path& folder, const ImportContext& context) {
  ImportSource source;
  source.format = "visium";
  source.unit = "px of the full image";
  bool raw = false;
  FeatureMatrix matrix = detail::open_space_ranger_matrix(folder, raw, context);
  if (const auto aggregated = detail::only_one(detail::aggregated_positions(folder), folder);
      !aggregated.empty()) {
    PositionTable positions = read_tissue_positions(aggregated, context);
    std::vector<std::string> names_from;
    detail::add_section_names(folder, positions, names_from);
    detail::finish_space_ranger(std::move(matrix), positions, raw, source);
    source.files.insert(source.files.end(), names_from.begin(), names_from.end());
    source.library_key = section_column;
    return source;
  }
  const std::filesystem::path inner = folder / "spatial";
  std::filesystem::path file;
  for (const char* name : {"tissue_positions.csv", "tissue_positions_list.csv"})
    if (file.empty()) file = detail::only_one(detail::entries_ending(inner, {name}), inner);
  if (file.empty())
    throw FileError({"STOFM-3903", folder.string(),
                     "spatial/tissue_positions.csv or spatial/tissue_positions_list.csv",
                     "no table of positions in this folder of Space Ranger", "one of the two",
                     "Give the whole folder \"outs\", or unpack SAMPLE_spatial.tar.gz in it."});
  detail::finish_space_ranger(std::move(matrix), read_tissue_positions(file, context), raw, source);
  return source;
}

}  // namespace stofm::io
