// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Slide-seq (*MappedDGEForR.csv or *digital_expression.txt, and *BeadLocations*), any two tables of counts
/// and positions (seqFISH, STARmap, GEO), and a 10x matrix with a table of positions. Which way a table of
/// counts lies is told by which of its sides has the names of the cells.

#include <algorithm>
#include <filesystem>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "stofm/io/import/merscope.hpp"

namespace stofm::io {

namespace detail {

inline void finish_matrix(FeatureMatrix matrix, const PositionTable& positions, ImportSource& source) {
  std::vector<std::int64_t> row_of =
      join_positions(matrix.barcodes, matrix.files.front(), positions, {}, source);
  source.files = matrix.files;
  source.files.push_back(positions.file);
  source.features = std::move(matrix.features);
  source.stream = [stream = std::move(matrix.stream), row_of = std::move(row_of)](CountSink& sink) {
    stream(sink, row_of);
  };
}

/// How the names of the cells fit the sides of a table.
struct TableSides {
  std::int64_t columns = 0, rows = 0;  ///< names that are cells
  bool suffix = true;                  ///< as they are, not without "-1"
};

inline TableSides look_at_sides(const std::filesystem::path& counts, const std::vector<std::string>& ids) {
  constexpr std::int64_t looks = 2000;
  for (const bool suffix : {true, false}) {
    std::unordered_set<std::string_view> cells;
    for (const std::string& id : ids) cells.insert(suffix ? std::string_view(id) : without_suffix(id));
    const auto is_cell = [&](std::string_view name) {
      return cells.contains(suffix ? name : without_suffix(name));
    };
    DelimitedTable table(counts);
    TableSides sides{.suffix = suffix};
    for (const std::string& name : table.names()) sides.columns += is_cell(name) ? 1 : 0;
    while (sides.columns == 0 && table.rows() < looks && table.next())
      sides.rows += is_cell(table.text(std::size_t{0})) ? 1 : 0;
    if (sides.columns + sides.rows > 0) return sides;
  }
  return {};
}

/// Cells by their order: the first column is left out if it holds texts or counts up.
inline CellRows rows_by_order(const std::filesystem::path& counts, ImportFeatures& features) {
  CellRows rows;
  rows.counts = counts;
  DelimitedTable table(counts);
  bool bare = table.columns() > 1;  // all numbers: no line of names
  for (const std::string& name : table.names()) bare = bare && parse_table_number(name).has_value();
  const bool named_first = !bare && (table.names()[0].empty() || lower_case(table.names()[0]) == "cell");
  bool text_first = false;
  const std::size_t before = table.columns();
  if (!bare && table.next()) text_first = !parse_table_number(table.field(0));
  const std::size_t first = named_first || text_first || table.columns() > before ? 1 : 0;
  for (std::size_t c = first; c < table.columns(); ++c) {
    rows.gene_columns.push_back(c);
    features.names.push_back(bare ? concat("gene_", c) : table.names()[c]);
  }
  if (bare) rows.names = features.names;
  return rows;
}

}  // namespace detail

inline ImportSource open_slide_seq(const std::filesystem::path& folder, const ImportOptions& options,
                                   const ImportContext& context) {
  ImportSource source;
  source.format = "slide-seq";
  source.unit = "px of the array";
  source.unordered = true;
  std::filesystem::path counts = options.counts, places = options.positions;
  for (const char* part : {"mappeddge", "digital_expression"})
    if (counts.empty()) counts = detail::table_named(folder, part);
  for (const char* part : {"beadlocation", "bead_location", "barcodelocation"})
    if (places.empty()) places = detail::table_named(folder, part);
  if (counts.empty() || places.empty())
    throw FileError({"STOFM-3903", folder.string(),
                     counts.empty() ? "*MappedDGEForR.csv or *digital_expression.txt" : "*BeadLocations*.csv",
                     "no such table in this folder of Slide-seq", "counts and positions of the beads",
                     "Name the tables with ImportOptions::counts and ImportOptions::positions."});
  const PositionTable positions = read_positions(places, {options.id, options.x, options.y}, context);
  detail::finish_matrix(open_gene_rows(counts, context), positions, source);
  return source;
}

inline ImportSource open_tenx(const std::filesystem::path& path, const ImportOptions& options,
                              const ImportContext& context) {
  ImportSource source;
  source.format = "10x";
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  FeatureMatrix matrix;
  bool raw = false;
  if (!folder)
    matrix = open_tenx_h5(path, context);
  else if (is_matrix_folder(path))
    matrix = open_matrix_folder(path, context);
  else
    matrix = detail::open_space_ranger_matrix(path, raw, context);
  if (options.positions.empty()) {
    std::string remedy =
        "Name the table of positions with ImportOptions::positions (CSV: the names of the cells, x, y).";
    const std::filesystem::path above = std::filesystem::absolute(path).lexically_normal().parent_path();
    for (const FoundFormat& found : detail::formats_of_folder(above))
      if (found.format != "10x")
        remedy = concat("Give the folder ", stofm::quoted(above.string(), 200), ", which is one of ",
                        import_title(found.format), ".");
    throw FileError({"STOFM-3903", path.string(), "positions", "a 10x matrix, which has none",
                     "a table of positions beside it", remedy});
  }
  detail::finish_matrix(std::move(matrix),
                        read_positions(options.positions, {options.id, options.x, options.y}, context),
                        source);
  return source;
}

/// \param path the table of counts, or a folder, and then options.counts is that
inline ImportSource open_tables(const std::filesystem::path& path, const ImportOptions& options,
                                const ImportContext& context) {
  ImportSource source;
  source.format = "tables";
  std::error_code ignored;
  const std::filesystem::path counts = options.counts.empty() && !std::filesystem::is_directory(path, ignored)
                                           ? path.string()
                                           : options.counts;
  if (counts.empty() || options.positions.empty())
    throw FileError({"STOFM-3903", path.string(),
                     counts.empty() ? "ImportOptions::counts" : "ImportOptions::positions",
                     counts.empty() ? "a folder" : "a table of counts alone", "counts and positions",
                     "Name the tables with ImportOptions::counts and ImportOptions::positions (the names of "
                     "the cells, x, y)."});
  PositionTable positions = read_positions(options.positions, {options.id, options.x, options.y}, context);
  if (options.by_order) {
    const std::unordered_set<std::string> unique(positions.ids.begin(), positions.ids.end());
    if (!positions.named || unique.size() < positions.ids.size())
      for (std::size_t i = 0; i < positions.ids.size(); ++i) positions.ids[i] = concat("cell_", i);
    CellRows rows = detail::rows_by_order(counts, source.features);
    finish_cell_rows(std::move(rows), std::move(positions), true, true, context, source);
    return source;
  }
  const detail::TableSides sides = detail::look_at_sides(counts, positions.ids);
  if (sides.columns > 0) {
    source.unordered = true;
    detail::finish_matrix(open_gene_rows(counts, context), positions, source);
    return source;
  }
  if (sides.rows == 0)
    throw DataError(
        {"STOFM-3914", counts.string(), "cell names",
         concat("no cell of ", positions.file, " (",
                positions.ids.empty() ? std::string("none") : stofm::quoted(positions.ids.front(), 40),
                ", ...) among the columns or the first rows"),
         "the names of the same cells",
         "Name the column of the names with ImportOptions::id, or say ImportOptions::by_order if there are "
         "none."});
  CellRows rows;
  rows.counts = counts;
  DelimitedTable table(counts);
  (void)table.next();  // a table of R has one name less
  for (std::size_t c = 1; c < table.columns(); ++c) {
    rows.gene_columns.push_back(c);
    source.features.names.push_back(table.names()[c]);
  }
  rows.cell = [](const DelimitedTable& row) { return row.text(std::size_t{0}); };
  finish_cell_rows(std::move(rows), std::move(positions), false, sides.suffix, context, source);
  return source;
}

}  // namespace stofm::io
