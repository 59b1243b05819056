// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// HDF5 files that are no .h5ad although they are near to one: named, with the line that converts them.

#include <algorithm>
#include <string>
#include <vector>

#include "stofm/io/foreign_files.hpp"
#include "stofm/io/h5ad_frame.hpp"

namespace stofm::io::detail {

/// What an HDF5 file without the parts of an .h5ad is. `what` is empty if it is not known.
inline ForeignFile foreign_hdf5(const Hdf5File& file) {
  const auto kind_of = [&file](const std::string& path) { return open_hdf5_object(file, path).kind; };
  const auto is_group = [&](const std::string& path) { return kind_of(path) == Hdf5Kind::group; };
  const auto is_data = [&](const std::string& path) { return kind_of(path) == Hdf5Kind::dataset; };
  const std::string name = stofm::quoted(file.path, 200);
  const Hdf5Object root = open_hdf5_object(file, "/");
  if (is_group("mod"))
    return {"a MuData file (.h5mu)", "Take one modality out with mudata: import mudata; mudata.read(" + name +
                                         ").mod[\"rna\"].write_h5ad(\"out.h5ad\")"};
  if (H5Aexists(root.handle.get(), "LOOM_SPEC_VERSION") > 0 ||
      (is_group("row_attrs") && is_group("col_attrs")))
    return {"a loom file", python_line("import scanpy; scanpy.read_loom(" + name +
                                       ").write_h5ad(\"out.h5ad\"), and add the positions as "
                                       "obsm[\"spatial\"]")};
  if (is_group("assays") && (is_data("cell.names") || is_group("meta.data")))
    return {"an h5Seurat file", r_line("SeuratDisk::Convert(" + name +
                                       ", dest = \"h5ad\"), and add the positions as obsm[\"spatial\"]")};
  const std::string ten_x =
      import_line(name, "--positions CELLS.csv") + ", or with the whole folder that the file came in";
  if (is_data("matrix/barcodes")) return {"a 10x file (feature-barcode matrix)", ten_x};
  if (is_group("geneExp") || is_group("cellBin")) return {"a GEF file (Stereo-seq)", import_line(name)};
  if (is_data("barcode_idx") && is_data("umi"))
    return {"a 10x file of molecules (molecule_info.h5)",
            "Give the folder \"outs\" of the same run to stofm import."};
  const std::vector<std::string> names = hdf5_names(file, root, 50);
  for (const std::string& genome : names)
    if (is_data(genome + "/barcodes") && is_data(genome + "/indptr"))
      return {"a 10x file of Cell Ranger 1 or 2 (matrix of " + stofm::quoted(genome, 40) + ")", ten_x};
  return {};
}

/// Refuses relatives of .h5ad by name, and HDF5 files that have nothing of an .h5ad.
inline void require_anndata(const Hdf5File& file) {
  const auto absent = [&file](const char* path) {
    return open_hdf5_object(file, path).kind == Hdf5Kind::absent;
  };
  const auto refuse = [&file](std::string what, std::string remedy) {
    throw FileError(
        {"STOFM-3504", file.path, "", std::move(what), "an AnnData file (.h5ad)", std::move(remedy)});
  };
  const Hdf5Object root = open_hdf5_object(file, "/");
  const std::string encoding = read_encoding(file, root);
  const bool no_frames = absent("obs") || absent("var");
  if (no_frames || encoding == "MuData" || absent("X")) {
    ForeignFile foreign = foreign_hdf5(file);
    if (!foreign.what.empty()) refuse(std::move(foreign.what), std::move(foreign.remedy));
  }
  if (absent("obs") && absent("var") && absent("X")) {
    std::string list;
    const std::vector<std::string> names = hdf5_names(file, root, 20);
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + stofm::quoted(name, 40);
    refuse(names.empty() ? "an HDF5 file with nothing in it"
                         : "an HDF5 file without obs, var and X; it has " + list,
           "Give the .h5ad file itself, or write one with anndata: obs, var, X (counts) and "
           "obsm[\"spatial\"].");
  }
  if (!encoding.empty() && encoding != "anndata")
    throw FileError({"STOFM-3508", file.path, "", "encoding " + stofm::quoted(encoding, 60), "anndata",
                     "Write the file again with anndata."});
}

}  // namespace stofm::io::detail
