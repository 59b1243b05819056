// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which of the formats a folder or file is, by what it holds. Nothing is read but names and the first bytes.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/io/foreign_files.hpp"
#include "stofm/io/import/import_options.hpp"
#include "stofm/io/import/visium_hd_cells.hpp"

namespace stofm::io {

/// What was found: the word of a format, the folder or file that is of it, and the name that tells.
struct FoundFormat {
  std::string format;
  std::filesystem::path path;
  std::string evidence;
};

namespace detail {

inline bool is_text_table(const std::string& name) {
  for (const std::string_view ending : {".csv", ".tsv", ".txt"})
    if (name.ends_with(ending) || name.ends_with(std::string(ending) + ".gz")) return true;
  return false;
}

/// The first text table of the folder whose name holds `part`; "" if there is none.
inline std::filesystem::path table_named(const std::filesystem::path& folder, std::string_view part) {
  for (const auto& path : entries_ending(folder, {".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz"}))
    if (lower_case(path.filename().string()).find(part) != std::string::npos) return path;
  return {};
}

inline std::vector<FoundFormat> formats_of_folder(const std::filesystem::path& folder) {
  std::vector<FoundFormat> found;
  std::error_code ignored;
  const auto has = [&](const std::filesystem::path& name) {
    return std::filesystem::exists(folder / name, ignored);
  };
  const auto add = [&](const char* format, std::string evidence) {
    found.push_back({format, folder, std::move(evidence)});
  };
  const bool matrix = has("cell_feature_matrix.h5") || has("cell_feature_matrix") ||
                      has("cell_feature_matrix.tar.gz") || has("cell_feature_matrix.zarr.zip");
  if (has("experiment.xenium"))
    add("xenium", "experiment.xenium");
  else if (matrix || has("cells.parquet"))
    add("xenium", matrix ? "cell_feature_matrix" : "cells.parquet");
  const bool squares = !entries_ending(folder, {"02um", "08um", "16um"}).empty();
  if (has("binned_outputs") || squares || folder.filename().string().starts_with("square_")) {
    add("visium-hd", has("binned_outputs") ? "binned_outputs" : "square_...um");
  } else if (!find_segmented_cells(folder).empty()) {
    add("visium-hd", "cell_segmentations.geojson or feature_cell_matrix");
  } else if (!aggregated_positions(folder).empty()) {
    add("visium", "aggr_tissue_positions");
  } else if (has("spatial") &&
             !entries_ending(folder / "spatial", {"tissue_positions.csv", "tissue_positions_list.csv"})
                  .empty()) {
    add("visium", "spatial/tissue_positions");
  } else if (!entries_ending(folder, {"feature_bc_matrix.h5", "feature_bc_matrix", "feature_bc_matrices"})
                  .empty()) {
    if (has("spatial"))
      add("visium", "spatial");
    else
      add("10x", "feature_bc_matrix");
  }
  if (is_matrix_folder(folder)) add("10x", "matrix.mtx");
  if (const auto file = table_named(folder, "cell_by_gene"); !file.empty())
    add("merscope", file.filename().string());
  if (const auto file = table_named(folder, "exprmat_file"); !file.empty())
    add("cosmx", file.filename().string());
  if (const auto files = entries_ending(folder, {".gem", ".gem.gz", ".gef"}); !files.empty())
    add("stereo-seq", files.front().filename().string());
  for (const char* part : {"mappeddge", "digital_expression"})
    if (const auto file = table_named(folder, part); !file.empty()) {
      add("slide-seq", file.filename().string());
      break;
    }
  return found;
}

inline std::vector<FoundFormat> formats_of_file(const std::filesystem::path& file) {
  const std::string name = lower_case(file.filename().string());
  if (name.ends_with(".gem") || name.ends_with(".gem.gz") || name.ends_with(".gef"))
    return {{"stereo-seq", file, file.filename().string()}};
  if (name.ends_with(".h5")) return {{"10x", file, file.filename().string()}};
  if (name.find("mappeddge") != std::string::npos || name.find("digital_expression") != std::string::npos)
    return {{"slide-seq", file.parent_path().empty() ? "." : file.parent_path(), file.filename().string()}};
  if (is_text_table(name)) return {{"tables", file, file.filename().string()}};
  return {};
}

inline std::string format_list() {
  std::string list;
  for (const ImportFormat& known : import_formats) list += concat(list.empty() ? "" : ", ", known.name);
  return list;
}

}  // namespace detail

namespace detail {

/// All that `path` may be. A run's folder has "outs" in it: that is looked at if the folder is nothing else.
inline std::vector<FoundFormat> all_formats(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored))
    return std::filesystem::is_regular_file(path, ignored) ? formats_of_file(path)
                                                           : std::vector<FoundFormat>();
  std::vector<FoundFormat> found = formats_of_folder(path);
  if (found.empty() && std::filesystem::is_directory(path / "outs", ignored))
    found = formats_of_folder(path / "outs");
  return found;
}

}  // namespace detail

/// What `path` is. \param asked a word of import_formats; empty: found \throws FileError STOFM-3001 no such
/// file, 3901 none of the formats, 3902 several of them
inline FoundFormat find_import_format(const std::filesystem::path& path, const std::string& asked = {}) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  if (!folder) (void)File::open(path);
  const std::vector<FoundFormat> found = detail::all_formats(path);
  if (!asked.empty()) {
    for (const FoundFormat& one : found)
      if (one.format == asked) return one;
    return {asked, found.empty() ? path : found.front().path, "ImportOptions::format"};
  }
  if (found.empty())
    if (const ForeignFile foreign = recognise_foreign(path); !foreign.what.empty())
      throw FileError({"STOFM-3901", path.string(), "", foreign.what, detail::format_list(), foreign.remedy});
  if (found.empty())
    throw FileError(
        {"STOFM-3901", path.string(), "",
         folder ? "a folder of none of the formats that are known"
                : "a file of none of the formats that are known",
         detail::format_list(),
         "Give the output folder of the instrument itself, or say what it is with ImportOptions::format."});
  if (found.size() > 1)
    throw FileError({"STOFM-3902", path.string(), "",
                     concat(import_title(found[0].format), " (", found[0].evidence, ") and ",
                            import_title(found[1].format), " (", found[1].evidence, ")"),
                     "one format in a folder",
                     concat("Say which with ImportOptions::format = ", found[0].format,
                            " or ImportOptions::format = ", found[1].format, ".")});
  return found.front();
}

}  // namespace stofm::io
