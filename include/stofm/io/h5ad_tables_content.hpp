// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parts of an .h5ad file without its counts and genes, as plain structs. No libhdf5 here; h5ad_tables.hpp
/// reads them.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/file_identity.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io {

/// What is read. Which cells, which labels (obs_columns), which positions, and how: H5adReadOptions.
struct H5adTablesRequest {
  std::vector<std::string> obs_numbers{};  ///< columns of numbers; "n_*": all whose names begin so, in order
  std::vector<std::string> obsm{};         ///< keys of matrices or data frames of numbers
  std::vector<std::int64_t> file_rows{};   ///< only these rows of the file; empty: see H5adReadOptions::only
  bool positions = false;                  ///< read_coordinates as the options say
  bool uns = false;                        ///< fill H5adTables::uns
};

/// Numbers of obs.
struct H5adNumbers {
  std::string name;
  std::vector<double> values;  ///< [cells], NaN: missing
};

/// One entry of obsm.
struct H5adObsm {
  std::string key;
  std::vector<std::string> columns;  ///< names of a data frame's columns; empty: a plain matrix
  Tensor<float> values;              ///< [cells, C] as in the file, NaN included
};

struct H5adTables {
  std::string path;
  FileIdentity identity;
  std::int64_t file_cells = 0, cells = 0;
  std::vector<std::int64_t> file_rows;  ///< rows of the file that the cells are; empty: all, in order
  std::vector<SliceLabels> labels;      ///< of H5adReadOptions::obs_columns, in that order
  std::vector<H5adNumbers> numbers;
  std::vector<H5adObsm> obsm;
  Tensor<double> coordinates;                       ///< [cells, 2]; zeros where there are none
  std::string coordinates_source;                   ///< empty: none, or not asked for
  std::vector<std::string> obs_columns, obsm_keys;  ///< all that the file has
  /// Texts and numbers of uns["stofm"], those of dicts in it as "cluster/model_sha256".
  std::map<std::string, std::string> provenance;
  /// The same of all of uns, dicts in it as "provenance/technology". Empty unless asked for.
  std::map<std::string, std::string> uns;
  Notices notices;
};

}  // namespace stofm::io
