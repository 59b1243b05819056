// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice opened as the command line asks: counts, gene names, positions.

#include <string>

#include "arguments.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/gene_coverage.hpp"

namespace stofm::program {

/// Opens an .h5ad. With --spatial-csv the positions are joined on the names of the cells. \param memory_limit
/// bytes the reader may hold of one array; 0: its own choice. \param label_columns of obs at most, for
/// Slice::labels. \param positions false: a slice without any will do (zeros, and coordinates_source is
/// empty). \throws FileError, DataError, UsageError; FileError (STOFM-2040) if this program was built without
/// HDF5
io::Slice open_slice(const std::string& path, const SliceArguments& arguments, std::int64_t memory_limit = 0,
                     bool cell_names = false, std::int64_t label_columns = 0, bool positions = true);

pipeline::GeneMappingOptions gene_options(const SliceArguments& arguments);

}  // namespace stofm::program
