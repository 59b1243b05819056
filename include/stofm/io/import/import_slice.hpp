// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From the files of an instrument to an .h5ad: the declaration, without libhdf5. The body is in
/// io/import/h5ad_import.hpp.
///
///     stofm::io::import_slice("outs", "slice.h5ad");

#include <string>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/h5ad_result.hpp"
#include "stofm/io/import/import_options.hpp"

namespace stofm::io {

/// Reads the counts, the positions and the names of `input` and writes `output`: X (CSR, float32), the names
/// of the cells and genes, var["gene_ids"], obsm["spatial"] (float64), obs columns that tell sections or
/// fields of view, uns["stofm_import"]. Everything happens in a child process, as for read_h5ad.
/// \throws FileError STOFM-39xx and as the formats, DataError nothing in common, no gene; UsageError options
///   that do not fit, the output exists (STOFM-3010); ResourceError memory, disk. Then nothing was written
/// *Cost* one pass over the counts (two if a table that should be in the order of the cells is not); memory:
///   about 300 bytes a cell, the text of genes, and what options.most_entries says
STOFM_H5AD_INLINE ImportReport import_slice(const std::string& input, const std::string& output,
                                            const ImportOptions& options = {},
                                            const H5adWriteOptions& write = {});

/// Words of the formats that `path` is of, by what it holds; none if it is of none, or is not there.
STOFM_H5AD_INLINE std::vector<std::string> import_formats_of(const std::string& path);

}  // namespace stofm::io
