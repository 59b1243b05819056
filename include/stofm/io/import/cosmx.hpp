// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CosMx: the flat files *_exprMat_file.csv and *_metadata_file.csv of NanoString, plain or gzip. Cells are
/// numbered anew in each field of view: they are called "CELL_FOV". cell_ID 0 is what lies in no cell.
/// Positions are pixels of the whole slide (CenterX_global_px); obs["fov"].

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/import/merscope.hpp"

namespace stofm::io {

inline ImportSource open_cosmx(const std::filesystem::path& folder, const ImportContext& context) {
  ImportSource source;
  source.format = "cosmx";
  source.unit = "px";
  source.background = "records of cell_ID 0, which is no cell";
  const auto counts = detail::require_table(folder, "exprmat_file", "*_exprMat_file.csv", "CosMx");
  const auto places = detail::require_table(folder, "metadata_file", "*_metadata_file.csv", "CosMx");
  const char* remedy = "Give the flat files as AtoMx or the instrument wrote them.";
  const auto name_of = [](const DelimitedTable& table, std::size_t cell, std::size_t fov) {
    return table.text(cell) + "_" + table.text(fov);
  };
  DelimitedTable metadata(places, {.progress = context.reading("positions")});
  PositionTable positions;
  positions.file = places.string();
  const bool some = metadata.next();
  const std::size_t fov = metadata.require({"fov"}, remedy), cell = metadata.require({"cell_ID"}, remedy);
  const std::size_t x = metadata.require({"CenterX_global_px", "CenterX_global_mm"}, remedy);
  const std::size_t y = metadata.require({"CenterY_global_px", "CenterY_global_mm"}, remedy);
  std::vector<std::string> fovs;
  for (bool more = some; more; more = metadata.next()) {
    if (metadata.field(cell) == "0") continue;
    positions.ids.push_back(name_of(metadata, cell, fov));
    positions.xy.push_back(metadata.coordinate(x));
    positions.xy.push_back(metadata.coordinate(y));
    fovs.push_back(metadata.text(fov));
  }
  positions.obs.push_back(category_column("fov", fovs));
  const DelimitedTable table(counts);
  const std::size_t count_fov = table.require({"fov"}, remedy),
                    count_cell = table.require({"cell_ID"}, remedy);
  CellRows rows;
  rows.counts = counts;
  for (std::size_t c = 0; c < table.columns(); ++c) {
    const std::string& name = table.names()[c];
    if (c == count_fov || c == count_cell || name.empty() || lower_case(name) == "cell" ||
        lower_case(name) == "cell_id")
      continue;
    rows.gene_columns.push_back(c);
    source.features.names.push_back(name);
  }
  rows.cell = [count_cell, count_fov, name_of](const DelimitedTable& row) {
    return row.field(count_cell) == "0" ? std::string() : name_of(row, count_cell, count_fov);
  };
  finish_cell_rows(std::move(rows), std::move(positions), false, true, context, source);
  return source;
}

}  // namespace stofm::io
