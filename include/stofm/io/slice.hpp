// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A tissue slice as a reader hands it on: positions in memory, counts streamed row block by row block.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/file_identity.hpp"

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

/// Labels of cells that the file has: cell types, regions, ...
struct SliceLabels {
  std::string name;                     ///< of the column
  std::vector<std::int32_t> codes;      ///< [cells] which of `categories`, -1: missing
  std::vector<std::string> categories;  ///< each with a cell; 2 to 60, or of a column asked for 0 to 10,000
  std::vector<std::string> colours;     ///< "#rrggbb" of each, or empty if the file has none
  std::int64_t missing = 0;             ///< cells without a label, counted in columns asked for
};

/// Names of the gene columns from one place, e.g. a text column of var.
struct GeneNameList {
  std::string column;              ///< "index", or the name of the column
  std::vector<std::string> names;  ///< [genes]
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
  std::string gene_id_column;             ///< where gene_ids stand: "ensembl_id", "index"; "" if unknown
  std::string gene_symbol_column;         ///< the same of gene_symbols
  bool gene_column_chosen = false;        ///< the user named the column of gene_ids: it alone names genes
  std::vector<GeneNameList>
      other_gene_names;                    ///< other names of the genes, any text; for a look at what it is
  Tensor<double> coordinates;              ///< [cells, 2], in the file's unit (um or pixels), all finite
  std::vector<std::int64_t> file_rows;     ///< rows of the file that the cells are; empty: all, in order
  std::vector<std::int64_t> file_columns;  ///< columns of the file that the genes are; empty: all, in order
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
  std::int64_t file_genes = 0;      ///< genes of the file: genes() plus features of other kinds
  FileIdentity identity;            ///< the file as it was opened; not known: no file, or another reader

  std::int64_t genes() const { return static_cast<std::int64_t>(gene_ids.size()); }
};

/// Do the three lists of `rows` fit each other? Readers are anybody's code, and what follows goes by the
/// offsets. Columns and values are looked at where they are used. \throws DataError (STOFM-4320). *Cost* one
/// pass over the offsets
inline void require_consistent(const CountRows& rows, const std::string& path) {
  const auto fail = [&](std::string found, std::string expected) {
    throw DataError({"STOFM-4320", path, concat("counts from cell ", rows.first_row), std::move(found),
                     std::move(expected), "The reader of this slice is at fault."});
  };
  if (rows.offsets.empty() || rows.offsets.front() != 0)
    fail(rows.offsets.empty() ? "no offsets" : concat("a first offset of ", rows.offsets.front()),
         "offsets that start with 0");
  for (std::size_t i = 1; i < rows.offsets.size(); ++i)
    if (rows.offsets[i] < rows.offsets[i - 1])
      fail(concat("row ", i - 1, " from ", rows.offsets[i - 1], " to ", rows.offsets[i]),
           "offsets that do not decrease");
  if (rows.offsets.back() != static_cast<std::int64_t>(rows.columns.size()) ||
      rows.values.size() != rows.columns.size())
    fail(concat("offsets up to ", rows.offsets.back(), ", ", rows.columns.size(), " columns, ",
                rows.values.size(), " values"),
         "one column and one value for each entry");
}

/// Counts of cells [begin, end), checked. \throws as slice.read_counts; UsageError (STOFM-4324) if the slice
/// has none; DataError (STOFM-4320) if the reader returns other rows than asked for, or lists that do not fit
inline CountRows read_count_rows(const Slice& slice, std::int64_t begin, std::int64_t end) {
  if (!slice.read_counts)
    throw UsageError({"STOFM-4324", slice.path, "read_counts", "an empty function", "a reader of the counts",
                      "Set Slice::read_counts."});
  CountRows rows = slice.read_counts(begin, end);
  require_consistent(rows, slice.path);
  if (rows.rows() != end - begin || rows.first_row != begin)
    throw DataError({"STOFM-4320", slice.path, concat("counts of cells ", begin, " to ", end),
                     concat(rows.rows(), " rows from ", rows.first_row),
                     concat(end - begin, " rows from ", begin), "The reader of this slice is at fault."});
  return rows;
}

}  // namespace stofm::io
