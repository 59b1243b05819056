// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// MERSCOPE: cell_by_gene.csv and cell_metadata.csv of Vizgen (names may have more before and behind, gzip).
/// The column of the cells is "cell", "EntityID" or has no name. Positions are micrometres, of the whole
/// slide; obs["fov"].

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/import/cell_rows.hpp"
#include "stofm/io/import/find_format.hpp"

namespace stofm::io {

namespace detail {

inline std::filesystem::path require_table(const std::filesystem::path& folder, const char* part,
                                           const char* shown, const char* format) {
  std::vector<std::filesystem::path> found;
  for (const auto& path : entries_ending(folder, {".csv", ".csv.gz"}))
    if (lower_case(path.filename().string()).find(part) != std::string::npos) found.push_back(path);
  if (found.size() == 2 && found[0].string() + ".gz" == found[1].string()) found.pop_back();
  if (!found.empty()) return only_one(found, folder);
  throw FileError({"STOFM-3903", folder.string(), shown, concat("no such table in this folder of ", format),
                   "the whole output folder", "Copy the missing table into the folder."});
}

}  // namespace detail

inline ImportSource open_merscope(const std::filesystem::path& folder, const ImportContext& context) {
  ImportSource source;
  source.format = "merscope";
  source.unit = "um";
  const auto counts = detail::require_table(folder, "cell_by_gene", "cell_by_gene.csv", "MERSCOPE");
  const auto places = detail::require_table(folder, "cell_metadata", "cell_metadata.csv", "MERSCOPE");
  DelimitedTable metadata(places, {.progress = context.reading("positions")});
  PositionTable positions;
  positions.file = places.string();
  const bool some = metadata.next();
  std::size_t id = 0;
  for (const char* name : {"EntityID", "cell", "cell_id"})
    if (id == 0 && metadata.find(name) > 0) id = static_cast<std::size_t>(metadata.find(name));
  const std::size_t x = metadata.require({"center_x"}, "Give cell_metadata.csv as the instrument wrote it.");
  const std::size_t y = metadata.require({"center_y"}, "Give cell_metadata.csv as the instrument wrote it.");
  const std::int64_t fov = metadata.find("fov");
  std::vector<std::string> fovs;
  for (bool more = some; more; more = metadata.next()) {
    positions.ids.push_back(metadata.text(id));
    positions.xy.push_back(metadata.coordinate(x));
    positions.xy.push_back(metadata.coordinate(y));
    if (fov >= 0) fovs.push_back(metadata.text(static_cast<std::size_t>(fov)));
  }
  if (fov >= 0) positions.obs.push_back(category_column("fov", fovs));
  CellRows rows;
  rows.counts = counts;
  const DelimitedTable table(counts);
  for (std::size_t c = 1; c < table.columns(); ++c) {
    rows.gene_columns.push_back(c);
    source.features.names.push_back(table.names()[c]);
  }
  rows.cell = [](const DelimitedTable& row) { return row.text(std::size_t{0}); };
  finish_cell_rows(std::move(rows), std::move(positions), false, true, context, source);
  return source;
}

}  // namespace stofm::io
