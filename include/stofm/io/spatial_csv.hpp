// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Coordinates of cells from a table as instruments and packages write it: comma, tab or semicolon between
/// the fields, with or without a line of names, plain or gzip.
///
/// Known by their names: spatial_1 and spatial_2 (ours), x_centroid and y_centroid (Xenium cells.csv.gz),
/// center_x and center_y (MERSCOPE cell_metadata.csv), CenterX_global_px and CenterY_global_px (CosMx
/// metadata), pxl_col_in_fullres and pxl_row_in_fullres (Space Ranger tissue_positions.csv; without names:
/// tissue_positions_list.csv), and all else that io/coordinate_names.hpp knows. The column with the names of
/// the cells is found by what is in it.

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/coordinate_names.hpp"
#include "stofm/io/csv.hpp"
#include "stofm/io/gzip.hpp"

namespace stofm::io {

struct SpatialCsvOptions {
  std::string x_column = {};  ///< empty: found by its name
  std::string y_column = {};
  CsvOptions csv = {};  ///< the delimiter is found
};

/// Coordinates in the order of the cells asked for.
struct SpatialCsvResult {
  Tensor<double> coordinates;  ///< [cells, 2]; empty fields, "NA" and "nan" are NaN
  Notices notices;             ///< STOFM-W3401: rows of the file that belong to no cell
  std::string columns;         ///< those used, "x_centroid, y_centroid, cells by cell_id"
};

namespace detail {

/// The table of a file, whatever its delimiter, its compression and its first line are. \throws FileError
inline CsvTable read_any_csv(const std::filesystem::path& path, CsvOptions options) {
  const File file = File::open(path);
  std::string text = file.read_all(options.max_bytes);
  if (text.starts_with("PAR1"))
    throw FileError({"STOFM-3402", file.path(), "", "a Parquet file", "a table as text",
                     "Convert it: python -c \"import pandas; pandas.read_parquet('cells.parquet')."
                     "to_csv('cells.csv')\" (Xenium has cells.csv.gz beside it)."});
  if (is_gzip(text)) text = gunzip(text, file.path(), options.max_bytes);
  const std::string_view first_line = std::string_view(text).substr(0, text.find_first_of("\r\n"));
  std::int64_t most = std::count(first_line.begin(), first_line.end(), options.delimiter);
  for (const char delimiter : {'\t', ';'}) {
    const std::int64_t count = std::count(first_line.begin(), first_line.end(), delimiter);
    if (count > most) options.delimiter = delimiter, most = count;
  }
  // A first line of numbers is a cell, not names: Space Ranger's list, or cell, x, y.
  std::vector<std::string_view> fields{""};
  for (std::size_t begin = 0; begin <= first_line.size();) {
    const std::size_t end = (std::min)(first_line.find(options.delimiter, begin), first_line.size());
    if (begin > 0) fields.push_back({});
    fields.back() = first_line.substr(begin, end - begin);
    begin = end + 1;
  }
  const bool numbers = fields.size() > 2 && std::all_of(fields.begin() + 1, fields.end(), [](auto field) {
                         return parse_decimal(field).has_value();
                       });
  if (numbers && fields.size() == 6)
    options.names = {"barcode",   "in_tissue",          "array_row",
                     "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"};
  else if (numbers && fields.size() == 3)
    options.names = {"cell", "x", "y"};
  return parse_csv(text, file.path(), options);
}

/// Names of the cells in a table: those of a column, or of two of them ("7_2": cell 7 of field 2, which CosMx
/// numbers anew in each).
class CellColumn {
 public:
  explicit CellColumn(const CsvTable& table, std::int64_t first, std::int64_t second = -1)
      : table_(&table), first_(first), second_(second) {}
  std::string at(std::int64_t row) const {
    std::string name(table_->at(row, first_));
    if (second_ >= 0) name.append("_").append(table_->at(row, second_));
    return name;
  }
  std::string header() const {
    return concat(table_->header(first_), second_ < 0 ? "" : "_",
                  second_ < 0 ? std::string_view() : table_->header(second_));
  }
  /// Rows of some, spread evenly, that are names of cells.
  std::int64_t hits(const std::unordered_map<std::string_view, std::int64_t>& cells,
                    std::int64_t most) const {
    const std::int64_t rows = table_->rows(), looks = (std::min)(rows, most);
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < looks; ++i) count += cells.contains(at(i * rows / looks)) ? 1 : 0;
    return count;
  }

 private:
  const CsvTable* table_;
  std::int64_t first_, second_;
};

/// The column whose entries are most often names of cells; the first if none is.
inline CellColumn find_cell_column(const CsvTable& table,
                                   const std::unordered_map<std::string_view, std::int64_t>& cells) {
  std::vector<CellColumn> candidates;
  std::int64_t cell_number = -1, field = -1;
  for (std::int64_t c = 0; c < table.columns(); ++c) {
    candidates.emplace_back(table, c);
    const std::string low = lower_case(table.header(c));
    if (low == "cell_id" || low == "cellid") cell_number = c;
    if (low == "fov") field = c;
  }
  if (cell_number >= 0 && field >= 0) {
    candidates.emplace_back(table, cell_number, field);
    candidates.emplace_back(table, field, cell_number);
  }
  for (const std::int64_t looks : {std::int64_t{2000}, (std::numeric_limits<std::int64_t>::max)()}) {
    std::size_t best = 0;
    std::int64_t most = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const std::int64_t hits = candidates[i].hits(cells, looks);
      if (hits > most) most = hits, best = i;
    }
    if (most > 0) return candidates[best];
  }
  return candidates.front();
}

/// Positions of the two columns asked for or found. \throws FileError (STOFM-3407)
inline std::array<std::int64_t, 2> find_place_columns(const CsvTable& table,
                                                      const SpatialCsvOptions& options) {
  if (!options.x_column.empty() || !options.y_column.empty())
    return {table.column(options.x_column), table.column(options.y_column)};
  std::vector<std::string> names;
  for (std::int64_t c = 0; c < table.columns(); ++c) names.emplace_back(table.header(c));
  for (const auto& [x, y] : {std::pair{"spatial_1", "spatial_2"}, std::pair{"x", "y"}})
    if (std::find(names.begin(), names.end(), x) != names.end() &&
        std::find(names.begin(), names.end(), y) != names.end())
      return {table.column(x), table.column(y)};
  const std::vector<CoordinatePair> pairs = find_coordinate_pairs(names);
  if (!pairs.empty() && pairs.front().kind >= PlaceKind::plain)
    return {table.column(pairs.front().x), table.column(pairs.front().y)};
  std::string list;
  for (std::size_t i = 0; i < (std::min<std::size_t>)(names.size(), 20); ++i)
    list += (i > 0 ? ", " : "") + stofm::quoted(names[i], 30);
  throw FileError(
      {"STOFM-3407", table.file(), "line 1", "the columns " + list + (names.size() > 20 ? ", ..." : ""),
       "columns of positions, spatial_1 and spatial_2 or the like",
       pairs.empty()
           ? std::string(
                 "Name them with SpatialCsvOptions::x_column = NAME and SpatialCsvOptions::y_column = NAME.")
           : concat("Name them with SpatialCsvOptions::x_column and SpatialCsvOptions::y_column "
                    "(SpatialCsvOptions::x_column = ",
                    pairs.front().x, " and SpatialCsvOptions::y_column = ", pairs.front().y,
                    ", if these are lengths).")});
}

}  // namespace detail

/// Reads the file and joins it with `cell_names`.
/// \throws FileError as read_csv and gunzip, STOFM-3402 Parquet, 3407 column missing, 3408 a field that is no
/// number, 3410 a cell twice in the file; DataError STOFM-3409 cells that are not in the file (first 10 and
/// the count), 3411 a name twice among the cells.
STOFM_INLINE SpatialCsvResult read_spatial_csv(const std::filesystem::path& path,
                                               std::span<const std::string> cell_names,
                                               const SpatialCsvOptions& options = {});

}  // namespace stofm::io

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto io::read_spatial_csv(const std::filesystem::path& path,
                                       std::span<const std::string> cell_names,
                                       const SpatialCsvOptions& options) -> SpatialCsvResult {
  const CsvTable table = detail::read_any_csv(path, options.csv);
  const auto [x, y] = detail::find_place_columns(table, options);
  const auto cells = static_cast<std::int64_t>(cell_names.size());
  std::unordered_map<std::string_view, std::int64_t> cell_of;
  std::string first_twin;
  cell_of.reserve(cell_names.size());
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const std::string& name = cell_names[static_cast<std::size_t>(cell)];
    if (!cell_of.emplace(name, cell).second && first_twin.empty()) first_twin = name;
  }
  const detail::CellColumn names = detail::find_cell_column(table, cell_of);
  auto number = [&](std::int64_t row, std::int64_t column) {
    const std::string_view field = table.at(row, column);
    if (field.empty() || field == "NA") return std::numeric_limits<double>::quiet_NaN();
    if (const auto value = parse_decimal(field)) return *value;
    throw FileError({"STOFM-3408", table.file(),
                     concat("line ", table.line(row), ", column ", stofm::quoted(table.header(column), 40)),
                     stofm::quoted(field, 40), "a number", "Write coordinates with a decimal point."});
  };
  SpatialCsvResult result{Tensor<double>({cells, 2}), {}, {}};
  result.columns = concat(table.header(x), ", ", table.header(y), ", cells by ", names.header());
  std::vector<std::int64_t> row_of(cell_names.size(), -1);
  std::int64_t unused = 0;
  for (std::int64_t row = 0; row < table.rows(); ++row) {
    const std::string name = names.at(row);
    const auto found = cell_of.find(name);
    if (found == cell_of.end()) {
      ++unused;
      continue;
    }
    std::int64_t& old = row_of[static_cast<std::size_t>(found->second)];
    if (old >= 0)
      throw FileError(
          {"STOFM-3410", table.file(), concat("line ", table.line(row)),
           concat("the cell ", stofm::quoted(name, 60), " again, first in line ", table.line(old)),
           "each cell once", "Remove the repeated line."});
    old = row;
    if (name == first_twin)
      throw DataError({"STOFM-3411", table.file(), concat("line ", table.line(row)),
                       concat("two cells of the slice named ", stofm::quoted(name, 60)),
                       "unique cell names to join on", "Make the cell names of the slice unique."});
    result.coordinates(found->second, 0) = number(row, x);
    result.coordinates(found->second, 1) = number(row, y);
  }
  std::int64_t missing = 0;
  std::string first_missing;
  for (std::int64_t cell = 0; cell < cells; ++cell)
    if (row_of[static_cast<std::size_t>(cell)] < 0 && missing++ < 10)
      first_missing +=
          (missing > 1 ? ", " : "") + stofm::quoted(cell_names[static_cast<std::size_t>(cell)], 40);
  if (missing > 0)
    throw DataError({"STOFM-3409", table.file(), "cell index",
                     concat("no line for ", missing, " of ", cells, " cells: ", first_missing,
                            missing > 10 ? ", ..." : "",
                            table.rows() > 0 ? concat("; the column ", stofm::quoted(names.header(), 40),
                                                      " has ", stofm::quoted(names.at(0), 40), ", ...")
                                             : std::string()),
                     "one line per cell",
                     "Check that a column holds the cell names of the slice, as they are there."});
  if (unused > 0)
    result.notices.push_back({"STOFM-W3401",
                              concat(unused, unused == 1 ? " line" : " lines", " of ", table.file(),
                                     unused == 1 ? " belongs" : " belong", " to no cell of the slice"),
                              unused});
  return result;
}

}  // namespace stofm
#endif
