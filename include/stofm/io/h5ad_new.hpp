// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a whole new .h5ad file holds. No libhdf5 here; h5ad_new_writer.hpp writes it.

#include <cstdint>
#include <string>
#include <vector>

#include "stofm/core/tensor.hpp"
#include "stofm/io/h5ad_result.hpp"

namespace stofm::io {

/// A sparse matrix by rows. Columns of a row ascend.
struct H5adCsr {
  std::vector<std::int64_t> offsets{0};  ///< [rows + 1]
  std::vector<std::int32_t> columns;     ///< [entries]
  std::vector<float> values;             ///< [entries]
};

/// Views are not copied: what they show must live until the write returns.
struct NewH5ad {
  std::vector<std::string> cells{}, genes{};  ///< the indices of obs and var, each name once
  const H5adCsr* counts = nullptr;            ///< X, sparse; or
  TensorView<const float> dense{};            ///< X [cells, genes]; neither: a file without X
  TensorView<const double> spatial{};         ///< obsm["spatial"] [cells, 2 or 3]; rank 0: none
  /// Columns, layers, obsm, uns. file_rows, file_columns and input stay empty.
  H5adResult content{};
};

}  // namespace stofm::io
