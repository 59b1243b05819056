// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A tissue slice as a reader hands it on: positions in memory, counts streamed row block by row block.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::io {

/// Counts of cells [first_row, first_row + rows), CSR. Columns are gene columns of the slice; order within a
/// row is free, no column occurs twice in a row, no explicit zero is listed, values are finite and >= 0.
struct CountRows {
  std::int64_t first_row = 0;
  std::vector<std::int64_t> offsets{0};  ///< [rows + 1]
  std::vector<std::int32_t> columns;     ///< [nnz]
  std::vector<double> values;            ///< [nnz], raw counts

  std::int64_t rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

/// Labels of cells that the file has, for pictures: cell types, regions, ...
struct SliceLabels {
  std::string name;                     ///< of the column
  std::vector<std::int32_t> codes;      ///< [cells] which of `categories`, -1: missing
  std::vector<std::string> categories;  ///< 2 to 60, each with a cell
  std::vector<std::string> colours;     ///< "#rrggbb" of each, or empty if the file has none
};

/// One slice. Rows keep the order of the file, always.
struct Slice {
  std::string path;                     ///< where it came from, for messages
  std::string counts_source = "X";      ///< "X", "layers/counts", "raw/X"
  std::string counts_scale = "counts";  ///< what its values are and what was done with them, in words
  std::string coordinates_source;       ///< "obsm/spatial", "obs/x, obs/y", "given"
  std::int64_t cells = 0;
  std::vector<std::string> gene_ids;      ///< [genes], as in the file
  std::vector<std::string> gene_symbols;  ///< [genes], or empty if the file has none
  Tensor<double> coordinates;             ///< [cells, 2], in the file's unit (um or pixels), all finite
  std::vector<std::int64_t> file_rows;    ///< rows of the file that the cells are; empty: all, in order
  std::function<CountRows(std::int64_t begin, std::int64_t end)>
      read_counts;  ///< cells [begin, end) of this slice
  Notices notices;  ///< known when the slice was opened
  /// What streaming has found so far (duplicate entries summed, ...); ask after the last read_counts. May be
  /// empty.
  std::function<Notices()> stream_notices;
  std::vector<std::string> cell_names;  ///< [cells] if the reader was asked for them, else empty
  std::vector<std::int32_t> library;    ///< [cells] which of `library_names`, if a library key was given
  std::vector<std::string> library_names;
  std::vector<SliceLabels> labels;  ///< if the reader was asked for them, else empty
  std::int64_t file_cells = 0;      ///< cells of the file: `cells` plus those that were left out

  std::int64_t genes() const { return static_cast<std::int64_t>(gene_ids.size()); }
};

}  // namespace stofm::io
