// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Files and folders that hold slices in other formats, known by their names and first bytes: what each one
/// is, and the line of the program, of Python or R that makes an .h5ad of it. What HDF5 files hold is looked
/// at in io/h5ad_relatives.hpp.

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/lower_case.hpp"

namespace stofm::io {

/// What a path is and how to go on. `what` is empty if it is not known.
struct ForeignFile {
  std::string what;    ///< "a loom file"
  std::string remedy;  ///< a sentence with the line to run
};

namespace detail {

inline std::string python_line(const std::string& line) { return "Convert it in Python: " + line; }
/// The program's own importer (io/import); `more`: options that it needs.
inline std::string import_line(const std::string& name, const std::string& more = "") {
  return "To convert it, run: stofm import " + name + (more.empty() ? "" : " " + more) + " -o slice.h5ad";
}
inline std::string r_line(const std::string& line) { return "Convert it in R: " + line; }

/// Does the folder hold a file or folder whose name ends in `ending`?
inline bool holds_ending(const std::filesystem::path& folder, std::string_view ending) {
  std::error_code error;
  int looked_at = 0;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (++looked_at > 10000) break;
    if (entry->path().filename().string().ends_with(ending)) return true;
  }
  return false;
}

/// Names of the tables of a SpatialData store, those that most likely hold cells first.
inline std::vector<std::string> spatialdata_tables(const std::filesystem::path& store) {
  std::vector<std::string> tables;
  for (const char* group : {"tables", "table"}) {
    std::error_code error, ignored;
    int looked_at = 0;
    for (std::filesystem::directory_iterator entry(store / group, error), end; !error && entry != end;
         entry.increment(error)) {
      if (++looked_at > 1000) break;
      const std::string found = entry->path().filename().string();
      if (!found.starts_with('.') && entry->is_directory(ignored)) tables.push_back(found);
    }
  }
  const auto rank = [](const std::string& name) {  // squares of 8 um are about as large as cells
    if (name == "table") return 0;
    if (name.find("cell") != std::string::npos) return 1;
    return name.find("008um") != std::string::npos ? 2 : 3;
  };
  std::sort(tables.begin(), tables.end(), [&](const std::string& one, const std::string& other) {
    return rank(one) != rank(other) ? rank(one) < rank(other) : one < other;
  });
  return tables;
}

/// What reads a table of a SpatialData store: one that it shows, else the usual one.
inline std::string spatialdata_line(const std::filesystem::path& store, const std::string& name) {
  const std::vector<std::string> tables = spatialdata_tables(store);
  std::string others;
  for (std::size_t i = 1; i < (std::min<std::size_t>)(tables.size(), 5); ++i)
    others += (i > 1 ? ", " : " (other tables: ") + stofm::quoted(tables[i], 60);
  return python_line("import spatialdata; spatialdata.read_zarr(" + name + ").tables[" +
                     stofm::quoted(tables.empty() ? "table" : tables[0], 100) +
                     "].write_h5ad(\"out.h5ad\")") +
         (others.empty() ? "" : others + ")");
}

inline ForeignFile foreign_folder(const std::filesystem::path& folder) {
  const auto has = [&folder](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(folder / name, ignored);
  };
  const std::string name = stofm::quoted(folder.string(), 200);
  if (has(".zgroup") || has("zarr.json") || has(".zattrs") || has(".zmetadata")) {
    if (has("tables") || has("table") || has("shapes") || has("points") || has("images") || has("labels"))
      return {"a SpatialData store (a zarr directory)", spatialdata_line(folder, name)};
    if (has("mod"))
      return {"a MuData store (a zarr directory)", python_line("import mudata; mudata.read_zarr(" + name +
                                                               ").mod[\"rna\"].write_h5ad(\"out.h5ad\")")};
    return {"a zarr store (a directory)",
            python_line("import anndata; anndata.read_zarr(" + name + ").write_h5ad(\"out.h5ad\")")};
  }
  if (has("experiment.xenium") ||
      (has("cell_feature_matrix.h5") && (has("cells.csv.gz") || has("cells.parquet"))))
    return {"a folder of Xenium output", import_line(name)};
  if (has("binned_outputs") || has("segmented_outputs") || has("cell_segmentations.geojson"))
    return {"a folder of Visium HD output", import_line(name)};
  if (has("aggr_tissue_positions.csv") || has("aggr_tissue_positions_list.csv"))
    return {"a folder of Space Ranger output", import_line(name)};
  if (has("spatial") && (holds_ending(folder, "feature_bc_matrix.h5") || has("filtered_feature_bc_matrix") ||
                         has("raw_feature_bc_matrix")))
    return {"a folder of Space Ranger output", import_line(name)};
  if (has("cell_by_gene.csv")) return {"a folder of MERSCOPE output", import_line(name)};
  if (holds_ending(folder, "exprMat_file.csv") || holds_ending(folder, "exprMat_file.csv.gz"))
    return {"a folder of CosMx output", import_line(name)};
  if (has("matrix.mtx") || has("matrix.mtx.gz"))
    return {"a folder of 10x matrix files", import_line(name, "--positions CELLS.csv")};
  if (holds_ending(folder, "feature_bc_matrix.h5") || has("filtered_feature_bc_matrix"))
    return {"a folder of Cell Ranger output", import_line(name, "--positions CELLS.csv")};
  if (holds_ending(folder, ".gef") || holds_ending(folder, ".gem.gz") || holds_ending(folder, ".gem"))
    return {"a folder of Stereo-seq output", import_line(name)};
  if (has("outs"))
    return {"a folder with the folder \"outs\" of an instrument in it",
            "Give the folder \"outs\" and read on."};
  return {};
}

}  // namespace detail

/// Looks at a path, and at the first bytes of a file that is no HDF5. *Cost* a look into a folder.
STOFM_INLINE ForeignFile recognise_foreign(const std::filesystem::path& path, std::string_view head = {});

}  // namespace stofm::io

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto io::recognise_foreign(const std::filesystem::path& path, std::string_view head)
    -> ForeignFile {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return detail::foreign_folder(path);
  const std::string name = lower_case(path.filename().string());
  const std::string shown = stofm::quoted(path.string(), 200);
  const auto ends = [&name](std::initializer_list<std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(),
                       [&name](std::string_view e) { return name.ends_with(e); });
  };
  const auto starts = [&head](std::string_view mark) { return head.substr(0, mark.size()) == mark; };
  if (ends({".rds"}))
    return {"an R object (.rds)",
            detail::r_line("anndataR::write_h5ad(readRDS(" + shown + "), \"out.h5ad\")")};
  if (ends({".rdata", ".rda"}))
    return {
        "an R workspace (.RData)",
        detail::r_line("load(" + shown + "), then anndataR::write_h5ad(NAME_OF_THE_OBJECT, \"out.h5ad\")")};
  if (ends({".mtx", ".mtx.gz"}))
    return {"a matrix in MatrixMarket form",
            detail::import_line(
                stofm::quoted(path.parent_path().empty() ? "." : path.parent_path().string(), 200),
                "--positions CELLS.csv")};
  if (ends({".gem", ".gem.gz"})) return {"a GEM file (Stereo-seq)", detail::import_line(shown)};
  if (starts("PAR1") || ends({".parquet"}))
    return {"a parquet table",
            "A slice is an .h5ad file; a table of positions goes beside it as CSV: in Python "
            "pandas.read_parquet(" +
                shown + ").to_csv(\"positions.csv\")"};
  if (ends({".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz"}))
    return {"a table of text", detail::import_line(shown, "--positions CELLS.csv")};
  if (path.filename() == "cells.zarr.zip" || path.filename() == "cell_feature_matrix.zarr.zip")
    return {"an archive of a Xenium output",
            "Give the folder it lies in to stofm import; read are cell_feature_matrix.h5 (or the folder of "
            "that name) and cells.csv.gz or cells.parquet, which Xenium writes beside it."};
  if (ends({".zarr.zip"}))
    return {"a zarr store in a zip archive",
            detail::python_line("import anndata; anndata.read_zarr(" + shown + ").write_h5ad(\"out.h5ad\")")};
  return {};
}

}  // namespace stofm
#endif
