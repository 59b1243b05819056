// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What `spaceranger aggr` makes of several sections: one matrix whose barcodes end in the number of the
/// section (AAAC-2), aggr_tissue_positions.csv (without names of columns before version 2:
/// aggr_tissue_positions_list.csv) and aggregation.csv, whose row n names section n.

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/import/folder_entries.hpp"
#include "stofm/io/import/import_positions.hpp"

namespace stofm::io {

inline constexpr const char* section_column = "library_id";  ///< of obs, and of aggregation.csv

namespace detail {

/// Tables of the positions of several sections: one in the folder of a run, none in that of one section.
inline std::vector<std::filesystem::path> aggregated_positions(const std::filesystem::path& folder) {
  return entries_ending(folder, {"aggr_tissue_positions.csv", "aggr_tissue_positions.csv.gz",
                                 "aggr_tissue_positions_list.csv", "aggr_tissue_positions_list.csv.gz"});
}

/// Names of the sections, in the order of their numbers; none without the file.
inline std::vector<std::string> read_aggregation(const std::filesystem::path& folder, std::string& file) {
  const std::filesystem::path path = only_one(
      entries_ending(folder, {"aggregation.csv", "aggregation.csv.gz", "aggregation_csv.csv"}), folder);
  if (path.empty()) return {};
  file = path.string();
  DelimitedTable table(path);
  const std::size_t name =
      table.require({section_column, "sample_id"}, "Give the aggregation.csv of the run.");
  std::vector<std::string> names;
  while (table.next()) names.push_back(table.text(name));
  return names;
}

/// "AAAC-2" -> 2; nothing if the barcode does not end in a number from 1.
inline std::optional<std::int64_t> section_number(std::string_view barcode) {
  const std::string_view bare = without_suffix(barcode);
  if (bare.size() == barcode.size()) return std::nullopt;
  std::int64_t number = 0;
  const auto parsed =
      std::from_chars(barcode.data() + bare.size() + 1, barcode.data() + barcode.size(), number);
  return parsed.ec == std::errc{} && number > 0 ? std::optional(number) : std::nullopt;
}

/// Adds obs["library_id"] to positions of several sections: names of aggregation.csv in the folder, else the
/// numbers. \throws FileError (STOFM-3921) a barcode of a section that aggregation.csv does not have
inline void add_section_names(const std::filesystem::path& folder, PositionTable& positions,
                              std::vector<std::string>& files) {
  std::string file;
  std::vector<std::string> names = read_aggregation(folder, file);
  const bool named = !file.empty();
  if (named) files.push_back(file);
  H5adColumn& column = positions.obs.emplace_back();
  column.name = section_column;
  for (const std::string& id : positions.ids) {
    const std::optional<std::int64_t> number = section_number(id);
    const auto most = named ? static_cast<std::int64_t>(names.size()) : std::int64_t{10000};
    if (!number || *number > most)
      throw FileError({"STOFM-3921", positions.file, concat("barcode ", stofm::quoted(id, 60)),
                       number ? concat("section ", *number) : std::string("no number of a section"),
                       named ? concat("AAAC-1 to AAAC-", most, ", as ", file, " has ", most, " rows")
                             : concat("AAAC-1 to AAAC-", most),
                       "Give the positions and the aggregation.csv of one run of spaceranger aggr."});
    for (auto next = static_cast<std::int64_t>(names.size()); next < *number; ++next)
      names.push_back(concat(next + 1));
    column.codes.push_back(static_cast<std::int32_t>(*number - 1));
  }
  column.categories = std::move(names);
}

}  // namespace detail

}  // namespace stofm::io
