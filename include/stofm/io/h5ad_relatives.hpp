// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Files that are no .h5ad although they are near to one: named, with the line that converts them.

#include <string>

#include "stofm/io/h5ad_frame.hpp"

namespace stofm::io::detail {

/// Refuses relatives of .h5ad by name.
inline void require_anndata(const Hdf5File& file) {
  const auto kind_of = [&file](const char* path) { return open_hdf5_object(file, path).kind; };
  const Hdf5Object root = open_hdf5_object(file, "/");
  const std::string encoding = read_encoding(file, root);
  if (encoding == "MuData" || (kind_of("mod") == Hdf5Kind::group && kind_of("obs") != Hdf5Kind::absent &&
                               kind_of("X") == Hdf5Kind::absent))
    throw FileError({"STOFM-3504", file.path, "", "a MuData file (.h5mu)", "an AnnData file (.h5ad)",
                     "Take one modality out with mudata and write it as .h5ad."});
  if (kind_of("obs") == Hdf5Kind::absent && kind_of("matrix/barcodes") == Hdf5Kind::dataset)
    throw FileError(
        {"STOFM-3504", file.path, "", "a 10x file (feature-barcode matrix)", "an AnnData file (.h5ad)",
         "Convert with scanpy: sc.read_10x_h5(FILE).write(\"out.h5ad\"), and add obsm[\"spatial\"]."});
  if (!encoding.empty() && encoding != "anndata")
    throw FileError({"STOFM-3508", file.path, "", "encoding " + stofm::quoted(encoding, 60), "anndata",
                     "Write the file again with anndata."});
}

}  // namespace stofm::io::detail
