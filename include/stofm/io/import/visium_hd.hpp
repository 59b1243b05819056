// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Visium HD: segmented cells where there are some and no size of squares is asked for (visium_hd_cells.hpp),
/// else binned_outputs/square_XXXum of Space Ranger, one size of squares. Positions of these are
/// spatial/tissue_positions.csv if somebody wrote one, .parquet where the program can read that, else the
/// grid that the barcodes state (s_008um_00301_00321-1: row 301, column 321), in micrometres, said once.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/import/parquet_positions.hpp"
#include "stofm/io/import/visium_hd_cells.hpp"

namespace stofm::io {

inline constexpr std::int64_t visium_hd_bin = 8;  ///< um; what 10x advises to begin with

namespace detail {

/// "square_008um" -> 8; 0 for other names.
inline std::int64_t square_side(std::string_view name) {
  if (!name.starts_with("square_") || !name.ends_with("um") || name.size() > 14) return 0;
  std::int64_t side = 0;
  for (const char c : name.substr(7, name.size() - 9)) {
    if (c < '0' || c > '9') return 0;
    side = 10 * side + (c - '0');
  }
  return side;
}

/// The folder of one size of squares. \throws FileError STOFM-3918 no such size, 3903 none at all
inline std::filesystem::path find_squares(const std::filesystem::path& path, std::int64_t& bin) {
  if (const std::int64_t side = square_side(path.filename().string()); side > 0) {
    if (bin > 0 && bin != side)
      throw FileError({"STOFM-3918", path.string(), "ImportOptions::bin", concat("squares of ", side, " um"),
                       concat(bin, " um"), "Give the folder above, or leave ImportOptions::bin out."});
    bin = side;
    return path;
  }
  std::error_code ignored;
  const auto inner = path / "binned_outputs";
  const auto folder = std::filesystem::is_directory(inner, ignored) ? inner : path;
  std::vector<std::pair<std::int64_t, std::filesystem::path>> found;
  std::string list;
  for (const auto& entry : entries_ending(folder, {"um"}))
    if (const std::int64_t side = square_side(entry.filename().string()); side > 0) {
      found.emplace_back(side, entry);
      list += concat(list.empty() ? "" : ", ", side);
    }
  if (found.empty())
    throw FileError({"STOFM-3903", path.string(), "binned_outputs/square_008um", "no folder of squares",
                     "one for each size",
                     "Give the folder \"outs\", or unpack binned_outputs.tar.gz in it."});
  const std::int64_t asked = bin > 0 ? bin : visium_hd_bin;
  for (const auto& [side, entry] : found)
    if (side == asked || (bin == 0 && found.size() == 1)) {
      bin = side;
      return entry;
    }
  throw FileError({"STOFM-3918", folder.string(), "ImportOptions::bin", concat("squares of ", list, " um"),
                   concat(asked, " um"), "Choose one of these with ImportOptions::bin."});
}

/// Positions out of barcodes. \throws FileError (STOFM-3914) for barcodes of another form
inline PositionTable positions_of_barcodes(const FeatureMatrix& matrix, std::int64_t bin) {
  PositionTable positions;
  positions.file = matrix.files.front();
  positions.ids = matrix.barcodes;
  H5adColumn rows, columns;
  rows.name = "array_row", columns.name = "array_col";
  for (const std::string& barcode : matrix.barcodes) {
    const std::string_view id = without_suffix(barcode);
    const std::size_t last = id.rfind('_'), first = last == 0 ? id.npos : id.rfind('_', last - 1);
    const auto number = [](std::string_view digits) {
      return digits.empty() || digits.size() > 9 ? std::optional<double>() : parse_table_number(digits);
    };
    const bool parts = id.starts_with("s_") && last != id.npos && first != id.npos && first > 1;
    const auto row = parts ? number(id.substr(first + 1, last - first - 1)) : std::nullopt;
    const auto column = parts ? number(id.substr(last + 1)) : std::nullopt;
    if (!row || !column)
      throw FileError({"STOFM-3914", positions.file, "barcodes", stofm::quoted(barcode, 40),
                       "barcodes of squares (s_008um_00301_00321-1), which state the place",
                       "Write spatial/tissue_positions.csv from the .parquet beside the matrix."});
    const auto side = static_cast<double>(bin);
    positions.xy.insert(positions.xy.end(), {(*column + 0.5) * side, (*row + 0.5) * side});
    rows.integers.push_back(static_cast<std::int64_t>(*row));
    columns.integers.push_back(static_cast<std::int64_t>(*column));
  }
  positions.obs = {std::move(rows), std::move(columns)};
  return positions;
}

}  // namespace detail

inline ImportSource open_visium_hd(const std::filesystem::path& path, const ImportOptions& options,
                                   const ImportContext& context) {
  if (options.bin == 0)
    if (const auto cells = detail::find_segmented_cells(path); !cells.empty())
      return open_visium_hd_cells(cells, context);
  ImportSource source;
  source.format = "visium-hd";
  source.unit = "px of the full image";
  std::int64_t bin = options.bin;
  const std::filesystem::path folder = detail::find_squares(path, bin);
  source.grain = concat("squares of ", bin, " um");
  source.facts["bin"] = bin;
  bool raw = false;
  FeatureMatrix matrix = detail::open_space_ranger_matrix(folder, raw, context);
  const auto inner = folder / "spatial";
  std::error_code ignored;
  PositionTable positions;
  if (const auto file = detail::find_plain_or_gzip(inner, {"tissue_positions.csv"}); !file.empty()) {
    positions = read_tissue_positions(file, context);
  } else if (const auto table = inner / "tissue_positions.parquet";
             options.parquet && std::filesystem::exists(table, ignored)) {
    positions = read_parquet_positions(table, "tissue_positions.csv",
                                       {.id = "barcode",
                                        .x = "pxl_col_in_fullres",
                                        .y = "pxl_row_in_fullres",
                                        .obs = {"in_tissue", "array_row", "array_col"}},
                                       options.parquet);
  } else {
    positions = detail::positions_of_barcodes(matrix, bin);
    source.unit = "um";
    source.notices.push_back(
        {"STOFM-W3910",
         concat("positions are the grid of the squares, in um, by their barcodes",
                std::filesystem::exists(table, ignored)
                    ? ": tissue_positions.parquet was left aside, as this program has no Apache Arrow"
                    : ""),
         static_cast<std::int64_t>(matrix.barcodes.size())});
  }
  detail::finish_space_ranger(std::move(matrix), positions, raw, source);
  return source;
}

}  // namespace stofm::io
