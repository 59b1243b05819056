// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What is written into an .h5ad file next to what is there, or into a new one. No libhdf5 here.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "stofm/core/tensor.hpp"
#include "stofm/io/file_identity.hpp"
#include "stofm/io/h5ad_options.hpp"

namespace stofm::io {

class OutputGroup;

/// One entry of obsm: a matrix with a row for each cell of the slice. Not copied: it must live until the
/// write returns.
struct H5adTable {
  std::string key;                     ///< "X_stofm"
  TensorView<const float> values;      ///< [cells, C], rows may be strided
  std::vector<std::string> columns{};  ///< names: written as a data frame (pandas); empty: as a matrix
};

/// One entry of layers: a matrix over cells and genes. Not copied.
struct H5adLayer {
  std::string key;                 ///< "stofm_imputed"
  TensorView<const float> values;  ///< [cells, genes], rows may be strided
};

/// One column of obs or var. Exactly one of `integers`, `reals`, `texts`, `codes` has an entry for each cell
/// or gene.
struct H5adColumn {
  std::string name{};
  std::vector<std::int64_t> integers{};
  std::vector<double> reals{};
  std::vector<std::int32_t> codes{};  ///< index into `categories`, -1: missing
  std::vector<std::string> categories{};
  std::vector<std::string> texts{};
};

/// A value of uns[key].
using H5adValue =
    std::variant<std::string, std::int64_t, double, std::vector<std::string>, std::vector<double>>;

/// All that is written. Cells that were left out (`file_rows` not empty) get rows of NaN, -1, "" or missing,
/// and the column obs["stofm_embedded"] says which cells have an embedding.
struct H5adResult {
  std::vector<H5adTable> obsm{};
  std::vector<H5adColumn> obs{};
  std::vector<H5adColumn> var{};
  std::vector<H5adLayer> layers{};
  std::map<std::string, H5adValue> uns{};  ///< becomes uns[uns_key], a dict
  std::string uns_key = "stofm";           ///< "stofm/cluster": a dict in a dict, whose other entries stay
  std::map<std::string, std::vector<std::string>>
      uns_lists{};                        ///< each becomes uns[its key], a list of texts
  std::vector<std::int64_t> file_rows{};  ///< Slice::file_rows; empty: the cells are the rows of the file
  /// Slice::file_columns: columns of the file that the genes of `var` and `layers` are, the others get NaN,
  /// -1, "" or missing; empty: all, in order.
  std::vector<std::int64_t> file_columns{};
  /// Slice::identity: the write is refused if the input is another file by now, or was changed (STOFM-3543).
  FileIdentity input{};
};

/// How the file comes into being.
struct H5adWriteOptions {
  bool in_place = false;         ///< output is the input: a changed copy takes its place by one rename
  bool overwrite = false;        ///< an existing output may be replaced
  bool follow_link = true;       ///< as OutputOptions::follow_link
  OutputGroup* group = nullptr;  ///< as OutputOptions::group
  H5adIsolation isolation = H5adIsolation::child_process;
  double silence_limit_s = 120;
  double busy_limit_s = 4;  ///< seconds of computing without progress after which the child is given up
};

}  // namespace stofm::io
