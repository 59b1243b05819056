// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Xenium: the output folder of the instrument or of Xenium Ranger. Read are cell_feature_matrix (.h5, or the
/// folder of three files) and cells.csv.gz (or cells.csv, or cells.parquet where the program can);
/// experiment.xenium, images, transcripts and versions are not looked at. Positions are micrometres.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/import/parquet_positions.hpp"
#include "stofm/io/import/tenx_h5.hpp"

namespace stofm::io {

inline ImportSource open_xenium(const std::filesystem::path& folder, const ParquetReader& parquet,
                                const ImportContext& context) {
  ImportSource source;
  source.format = "xenium";
  source.unit = "um";
  FeatureMatrix matrix;
  std::error_code ignored;
  if (const auto file = folder / "cell_feature_matrix.h5"; std::filesystem::exists(file, ignored)) {
    matrix = open_tenx_h5(file, context);
  } else if (const auto inner = folder / "cell_feature_matrix"; is_matrix_folder(inner)) {
    matrix = open_matrix_folder(inner, context);
  } else {
    const bool packed = std::filesystem::exists(folder / "cell_feature_matrix.tar.gz", ignored),
               zarr = std::filesystem::exists(folder / "cell_feature_matrix.zarr.zip", ignored);
    throw FileError({"STOFM-3903", folder.string(),
                     "cell_feature_matrix.h5 or cell_feature_matrix/matrix.mtx.gz",
                     packed ? "only cell_feature_matrix.tar.gz"
                     : zarr ? "only cell_feature_matrix.zarr.zip"
                            : "no matrix of counts in this folder of Xenium",
                     "one of the two",
                     packed ? "Unpack it in the folder: tar -xzf cell_feature_matrix.tar.gz"
                            : "Give the whole output folder, or copy the matrix into it."});
  }
  PositionTable positions;
  if (const auto table = detail::find_plain_or_gzip(folder, {"cells.csv"}); !table.empty()) {
    positions = read_positions(table, {.id = "cell_id", .x = "x_centroid", .y = "y_centroid"}, context);
  } else if (const auto file = folder / "cells.parquet"; std::filesystem::exists(file, ignored)) {
    positions = read_parquet_positions(file, "cells.csv",
                                       {.id = "cell_id", .x = "x_centroid", .y = "y_centroid"}, parquet);
  } else {
    const bool zarr = std::filesystem::exists(folder / "cells.zarr.zip", ignored);
    throw FileError({"STOFM-3903", folder.string(), "cells.csv.gz or cells.parquet",
                     zarr ? "only cells.zarr.zip" : "no table of cells in this folder of Xenium",
                     "one of the two", "Give the whole output folder, or copy the table into it."});
  }
  const std::vector<std::int64_t> row_of =
      join_positions(matrix.barcodes, matrix.files.front(), positions, {}, source);
  source.files = matrix.files;
  source.files.push_back(positions.file);
  source.features = std::move(matrix.features);
  source.stream = [stream = std::move(matrix.stream), row_of](CountSink& sink) { stream(sink, row_of); };
  return source;
}

}  // namespace stofm::io
