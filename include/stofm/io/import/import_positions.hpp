// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tables of positions, and joining them with the cells of a matrix by name.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/core/with_commas.hpp"
#include "stofm/io/coordinate_names.hpp"
#include "stofm/io/import/delimited_table.hpp"
#include "stofm/io/import/import_options.hpp"
#include "stofm/io/import/import_source.hpp"

namespace stofm::io {

/// Positions of cells, and columns of obs beside them.
struct PositionTable {
  std::string file;
  std::vector<std::string> ids;
  std::vector<double> xy;       ///< [ids, 2]
  std::vector<H5adColumn> obs;  ///< [ids] each
  bool named = true;            ///< ids are names, not just the first column
};

namespace detail {

/// "AAAC-1" -> "AAAC"
inline std::string_view without_suffix(std::string_view id) {
  const std::size_t dash = id.rfind('-');
  if (dash == std::string_view::npos || dash + 1 == id.size() || dash == 0) return id;
  for (std::size_t i = dash + 1; i < id.size(); ++i)
    if (id[i] < '0' || id[i] > '9') return id;
  return id.substr(0, dash);
}

/// Where each id stands. \throws FileError (STOFM-3915) for one that stands twice
inline std::unordered_map<std::string_view, std::int64_t> index_ids(const std::vector<std::string>& ids,
                                                                    const std::string& file, bool suffix) {
  std::unordered_map<std::string_view, std::int64_t> place;
  place.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string_view id = suffix ? std::string_view(ids[i]) : without_suffix(ids[i]);
    const auto [old, fresh] = place.emplace(id, static_cast<std::int64_t>(i));
    if (!fresh)
      throw FileError({"STOFM-3915", file, concat("entry ", i + 1),
                       concat("the cell ", stofm::quoted(id, 60), " again, first as entry ", old->second + 1),
                       "each cell once", "Remove the repetition, or name the column of unique ids."});
  }
  return place;
}

inline void gather(const H5adColumn& from, const std::vector<std::int64_t>& rows, H5adColumn& to) {
  to.name = from.name;
  to.categories = from.categories;
  for (const std::int64_t row : rows) {
    const auto i = static_cast<std::size_t>(row);
    if (!from.integers.empty()) to.integers.push_back(from.integers[i]);
    if (!from.reals.empty()) to.reals.push_back(from.reals[i]);
    if (!from.codes.empty()) to.codes.push_back(from.codes[i]);
    if (!from.texts.empty()) to.texts.push_back(from.texts[i]);
  }
}

}  // namespace detail

/// Cells of a matrix that have a position become the cells of the source, in the order of the matrix; the
/// others are left out and counted. Names are joined as they are; if none fits, without the "-1" behind
/// barcodes. \param wanted rows of the table that may be used; empty: all \return [barcodes] the cell of the
/// source, -1: left out \throws DataError STOFM-3914 no name in both; FileError 3915 a name twice
inline std::vector<std::int64_t> join_positions(const std::vector<std::string>& barcodes,
                                                const std::string& matrix_file, const PositionTable& table,
                                                const std::vector<char>& wanted, ImportSource& source) {
  (void)detail::index_ids(barcodes, matrix_file, true);
  std::unordered_map<std::string_view, std::int64_t> place = detail::index_ids(table.ids, table.file, true);
  const auto hits = [&](bool suffix) {
    std::int64_t count = 0;
    for (const std::string& id : barcodes)
      count += place.contains(suffix ? std::string_view(id) : detail::without_suffix(id)) ? 1 : 0;
    return count;
  };
  bool suffix = true;
  if (hits(true) == 0) {
    suffix = false;
    place = detail::index_ids(table.ids, table.file, false);
    (void)detail::index_ids(barcodes, matrix_file, false);
    const std::int64_t found = hits(false);
    if (found == 0)
      throw DataError({"STOFM-3914", table.file, "cell names",
                       barcodes.empty() || table.ids.empty()
                           ? std::string("no cells")
                           : concat("no cell of ", matrix_file, ": ", stofm::quoted(table.ids.front(), 40),
                                    ", ... against ", stofm::quoted(barcodes.front(), 40), ", ..."),
                       "the names of the same cells", "Give the table of positions of the same sample."});
    source.notices.push_back(
        {"STOFM-W3903", concat(with_commas(found), " cells joined without the \"-1\" behind their names"),
         found});
  }
  std::vector<std::int64_t> row_of(barcodes.size(), -1), rows;
  std::int64_t missing = 0, off = 0;
  for (std::size_t i = 0; i < barcodes.size(); ++i) {
    const auto found =
        place.find(suffix ? std::string_view(barcodes[i]) : detail::without_suffix(barcodes[i]));
    const auto at = found == place.end() ? std::size_t{0} : static_cast<std::size_t>(found->second);
    if (found == place.end() || std::isnan(table.xy[2 * at]) || std::isnan(table.xy[2 * at + 1])) {
      ++missing;
      continue;
    }
    if (!wanted.empty() && wanted[at] == 0) {
      ++off;
      continue;
    }
    row_of[i] = static_cast<std::int64_t>(rows.size());
    rows.push_back(found->second);
    source.cells.push_back(barcodes[i]);
    source.xy.push_back(table.xy[2 * at]);
    source.xy.push_back(table.xy[2 * at + 1]);
  }
  for (const H5adColumn& column : table.obs) detail::gather(column, rows, source.obs.emplace_back());
  if (missing > 0)
    source.notices.push_back(
        {"STOFM-W3901",
         concat(with_commas(missing), " of ", with_commas(static_cast<std::int64_t>(barcodes.size())),
                " cells have no position in ", table.file, ": left out"),
         missing});
  if (off > 0)
    source.notices.push_back(
        {"STOFM-W3908", concat(with_commas(off), " spots beside the tissue: left out"), off});
  return row_of;
}

/// Which columns of a table of positions are meant; empty: found by their names.
struct PositionColumns {
  std::string id, x, y;
};

namespace detail {

/// x and y: those named, else those that io/coordinate_names.hpp knows.
inline std::pair<std::size_t, std::size_t> find_place_columns(const DelimitedTable& table,
                                                              const PositionColumns& columns) {
  if (!columns.x.empty() || !columns.y.empty())
    return {table.require({columns.x},
                          "Name the columns of positions with ImportOptions::x and ImportOptions::y."),
            table.require({columns.y},
                          "Name the columns of positions with ImportOptions::x and ImportOptions::y.")};
  for (const auto& [x, y] :
       {std::pair{"x_centroid", "y_centroid"}, std::pair{"center_x", "center_y"},
        std::pair{"CenterX_global_px", "CenterY_global_px"},
        std::pair{"pxl_col_in_fullres", "pxl_row_in_fullres"}, std::pair{"spatial_1", "spatial_2"},
        std::pair{"xcoord", "ycoord"}, std::pair{"x", "y"}})
    if (table.find(x) >= 0 && table.find(y) >= 0)
      return {static_cast<std::size_t>(table.find(x)), static_cast<std::size_t>(table.find(y))};
  const std::vector<CoordinatePair> pairs = find_coordinate_pairs(table.names());
  if (!pairs.empty() && pairs.front().kind >= PlaceKind::plain)
    return {table.require({pairs.front().x}, ""), table.require({pairs.front().y}, "")};
  (void)table.require({"x", "x_centroid", "center_x"},
                      "Name the columns of positions with ImportOptions::x and ImportOptions::y.");
  (void)table.require({"y", "y_centroid", "center_y"},
                      "Name the columns of positions with ImportOptions::x and ImportOptions::y.");
  table.fail("no pair of columns of positions", "x and y",
             "Name them with ImportOptions::x and ImportOptions::y.");
}

/// True if every field of the first line but the first is a number: a record, no names.
inline bool first_line_is_numbers(const DelimitedTable& table) {
  if (table.columns() < 3) return false;
  for (std::size_t i = 1; i < table.columns(); ++i)
    if (!parse_table_number(table.names()[i])) return false;
  return true;
}

}  // namespace detail

/// A table of positions of any of the formats. Without a line of names: barcode, x, y, or the six columns of
/// Space Ranger. \throws FileError as DelimitedTable, STOFM-3907 a column is missing
inline PositionTable read_positions(const std::filesystem::path& path, const PositionColumns& columns,
                                    const ImportContext& context) {
  DelimitedTable table(path, {.progress = context.reading("positions")});
  const bool bare = detail::first_line_is_numbers(table);
  if (bare && table.columns() == 6)
    table.first_line_is_record(
        {"barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"});
  else if (bare && table.columns() == 3)
    table.first_line_is_record({"cell", "x", "y"});
  PositionTable positions;
  positions.file = path.string();
  std::pair<std::size_t, std::size_t> place{};
  std::size_t id = 0;
  const bool some = table.next();  // first: a table of R has one name less
  place = detail::find_place_columns(table, columns);
  if (!columns.id.empty()) {
    id = table.require({columns.id}, "Name the column of cell names with ImportOptions::id.");
  } else {
    positions.named = bare;
    for (const char* name :
         {"cell_id", "EntityID", "barcode", "barcodes", "cell", "cellid", "cell_name", "id"})
      if (const std::int64_t found = table.find(name); found >= 0) {
        id = static_cast<std::size_t>(found);
        positions.named = true;
        break;
      }
  }
  for (bool more = some; more; more = table.next()) {
    positions.ids.push_back(table.text(id));
    positions.xy.push_back(table.coordinate(place.first));
    positions.xy.push_back(table.coordinate(place.second));
  }
  return positions;
}

}  // namespace stofm::io
