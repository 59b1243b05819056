// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice opened as the command line asks: counts, gene names, positions.

#include <string>
#include <vector>

#include "arguments.hpp"
#include "stofm/io/h5ad_tables_content.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed_options.hpp"
#include "stofm/pipeline/gene_coverage.hpp"

namespace stofm::program {

/// Opens an .h5ad. With --spatial-csv the positions are joined on the names of the cells. \param memory_limit
/// bytes the reader may hold of one array; 0: its own choice. \param label_columns of obs at most, for
/// Slice::labels. \param obs_columns of obs that must be there, first in Slice::labels. \param positions
/// false: a slice without any will do (zeros, and coordinates_source is empty). \throws FileError, DataError,
/// UsageError; FileError (STOFM-2040) if this program was built without HDF5
io::Slice open_slice(const std::string& path, const SliceArguments& arguments, std::int64_t memory_limit = 0,
                     bool cell_names = false, std::int64_t label_columns = 0, bool positions = true,
                     const std::vector<std::string>& obs_columns = {});

pipeline::GeneMappingOptions gene_options(const SliceArguments& arguments);

/// Parts of an .h5ad without counts and genes; which cells and positions as above, positions only if there
/// are any. \param obs_columns of obs that must be there, as labels. \throws as open_slice
io::H5adTables open_tables(const std::string& path, const SliceArguments& arguments,
                           const io::H5adTablesRequest& request, const std::vector<std::string>& obs_columns,
                           std::int64_t memory_limit = 0);

/// Genes, virtual cells and sub-slices as the command line has them.
pipeline::EmbedOptions embed_options(const SliceArguments& slice, const GeometryArguments& geometry,
                                     std::int64_t max_memory);

}  // namespace stofm::program
