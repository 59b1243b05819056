// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Coordinates of cells from a CSV file: the first column is the cell index, `spatial_1` and `spatial_2` are
/// x and y.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/csv.hpp"

namespace stofm::io {

struct SpatialCsvOptions {
  std::string x_column = "spatial_1";
  std::string y_column = "spatial_2";
  CsvOptions csv = {};
};

/// Coordinates in the order of the cells asked for.
struct SpatialCsvResult {
  Tensor<double> coordinates;  ///< [cells, 2]; empty fields, "NA" and "nan" are NaN
  Notices notices;             ///< STOFM-W3401: rows of the file that belong to no cell
};

/// Reads the file and joins it with `cell_names` on the first column.
/// \throws FileError as read_csv, STOFM-3407 column missing, 3408 a field that is no number, 3410 a cell
/// twice in the file; DataError STOFM-3409 cells that are not in the file (first 10 and the count), 3411 a
/// name twice among the cells.
inline SpatialCsvResult read_spatial_csv(const std::filesystem::path& path,
                                         std::span<const std::string> cell_names,
                                         const SpatialCsvOptions& options = {}) {
  const CsvTable table = read_csv(path, options.csv);
  const std::int64_t x = table.column(options.x_column), y = table.column(options.y_column);
  std::unordered_map<std::string_view, std::int64_t> row_of;
  row_of.reserve(static_cast<std::size_t>(table.rows()));
  for (std::int64_t row = 0; row < table.rows(); ++row) {
    const auto [old, is_new] = row_of.emplace(table.at(row, 0), row);
    if (!is_new)
      throw FileError({"STOFM-3410", table.file(), concat("line ", table.line(row)),
                       concat("the cell ", quoted(table.at(row, 0), 60), " again, first in line ",
                              table.line(old->second)),
                       "each cell once", "Remove the repeated line."});
  }
  auto number = [&](std::int64_t row, std::int64_t column) {
    const std::string_view field = table.at(row, column);
    if (field.empty() || field == "NA") return std::numeric_limits<double>::quiet_NaN();
    if (const auto value = parse_decimal(field)) return *value;
    throw FileError({"STOFM-3408", table.file(),
                     concat("line ", table.line(row), ", column ", quoted(table.header(column), 40)),
                     quoted(field, 40), "a number", "Write coordinates with a decimal point."});
  };
  const auto cells = static_cast<std::int64_t>(cell_names.size());
  SpatialCsvResult result{Tensor<double>({cells, 2}), {}};
  std::vector<bool> used(static_cast<std::size_t>(table.rows()), false);
  std::int64_t missing = 0, unused = table.rows();
  std::string first_missing;
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const std::string& name = cell_names[static_cast<std::size_t>(cell)];
    const auto found = row_of.find(name);
    if (found == row_of.end()) {
      if (missing++ < 10) first_missing += (missing > 1 ? ", " : "") + quoted(name, 40);
      continue;
    }
    const std::int64_t row = found->second;
    if (used[static_cast<std::size_t>(row)])
      throw DataError({"STOFM-3411", table.file(), concat("line ", table.line(row)),
                       concat("two cells of the slice named ", quoted(name, 60)),
                       "unique cell names to join on", "Make the cell names of the slice unique."});
    used[static_cast<std::size_t>(row)] = true;
    --unused;
    result.coordinates(cell, 0) = number(row, x);
    result.coordinates(cell, 1) = number(row, y);
  }
  if (missing > 0)
    throw DataError({"STOFM-3409", table.file(), "cell index",
                     concat("no line for ", missing, " of ", cells, " cells: ", first_missing,
                            missing > 10 ? ", ..." : ""),
                     "one line per cell", "Check that the first column holds the cell names of the slice."});
  if (unused > 0)
    result.notices.push_back({"STOFM-W3401",
                              concat(unused, " line(s) of ", table.file(), " belong to no cell of the slice"),
                              unused});
  return result;
}

}  // namespace stofm::io
