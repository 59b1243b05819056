// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tables of counts as text: a row a cell and a column a gene (MERSCOPE, CosMx, seqFISH, STARmap), or a row a
/// gene and a column a cell (Slide-seq, GEO). Rows are read one by one.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/io/import/count_sink.hpp"
#include "stofm/io/import/import_positions.hpp"
#include "stofm/io/import/matrix_market.hpp"

namespace stofm::io {

/// How the rows of a table of cells are read.
struct CellRows {
  std::filesystem::path counts;
  char delimiter = '\0';                    ///< '\0': found
  std::vector<std::size_t> gene_columns{};  ///< the rest names the cells
  std::vector<std::string> names{};         ///< of the columns, if the first line is a record
  /// The name of the cell of the present row; "" for a record of no cell.
  std::function<std::string(const DelimitedTable&)> cell{};
};

namespace detail {

/// Streams a table of cells whose places among the cells of the source are known by name; no map: by order.
inline void stream_cell_rows(const CellRows& rows, const std::vector<std::string>& cells, bool by_order,
                             bool suffix, const ReadingProgress& reading, CountSink& sink) {
  const auto place =
      by_order ? std::unordered_map<std::string_view, std::int64_t>() : index_ids(cells, "", suffix);
  DelimitedTable table(rows.counts, {.delimiter = rows.delimiter, .names = rows.names, .progress = reading});
  std::string id;
  while (table.next()) {
    std::int64_t cell = table.rows() - 1;
    if (!by_order) {
      id = rows.cell(table);
      if (id.empty()) {
        sink.skip_background();
        continue;
      }
      const auto found = place.find(suffix ? std::string_view(id) : without_suffix(id));
      if (found == place.end()) {
        sink.skip_unplaced();
        continue;
      }
      cell = found->second;
    } else if (cell >= static_cast<std::int64_t>(cells.size())) {
      table.fail(concat("row ", cell + 1, " of counts"), concat(cells.size(), " rows, as the positions have"),
                 "Give the two tables of the same cells, in the same order.");
    }
    if (!sink.mark_present(cell))
      throw FileError({"STOFM-3915", table.path(), concat("line ", table.line()),
                       concat("the cell ", stofm::quoted(id, 60), " again"), "each cell once",
                       "Remove the repetition, or name the column of unique ids."});
    for (std::size_t g = 0; g < rows.gene_columns.size(); ++g) {
      const std::string_view field = table.field(rows.gene_columns[g]);
      if (field == "0") continue;  // most of them
      sink.add(cell, static_cast<std::int64_t>(g), table.count(rows.gene_columns[g]));
    }
  }
  if (by_order && table.rows() != static_cast<std::int64_t>(cells.size()))
    table.fail(concat(table.rows(), " rows of counts"), concat(cells.size(), ", as the positions have"),
               "Give the two tables of the same cells, in the same order.");
}

}  // namespace detail

/// Cells are those of the table of positions that have a row of counts.
inline void finish_cell_rows(CellRows rows, PositionTable positions, bool by_order, bool suffix,
                             const ImportContext& context, ImportSource& source) {
  (void)detail::index_ids(positions.ids, positions.file, suffix);
  std::vector<std::int64_t> kept;
  for (std::size_t i = 0; i < positions.ids.size(); ++i) {
    const bool placed = !std::isnan(positions.xy[2 * i]) && !std::isnan(positions.xy[2 * i + 1]);
    if (!placed && !by_order) continue;  // told as a cell of the counts without a position
    kept.push_back(static_cast<std::int64_t>(i));
    source.cells.push_back(positions.ids[i]);
    source.xy.insert(source.xy.end(), {positions.xy[2 * i], positions.xy[2 * i + 1]});
  }
  for (const H5adColumn& column : positions.obs) detail::gather(column, kept, source.obs.emplace_back());
  source.files = {rows.counts.string(), positions.file};
  source.cells_by_stream = true;
  const auto names = std::make_shared<const std::vector<std::string>>(source.cells);
  source.stream = [rows = std::move(rows), names, by_order, suffix,
                   reading = context.reading("counts")](CountSink& sink) {
    detail::stream_cell_rows(rows, *names, by_order, suffix, reading, sink);
  };
}

/// A table with a row a gene; the names of the cells are those of its columns. Unordered.
inline FeatureMatrix open_gene_rows(const std::filesystem::path& counts, const ImportContext& context) {
  FeatureMatrix matrix;
  matrix.files = {counts.string()};
  DelimitedTable table(counts, {.progress = context.reading("genes")});
  while (table.next()) matrix.features.names.push_back(table.text(std::size_t{0}));
  matrix.barcodes.assign(table.names().begin() + 1, table.names().end());
  matrix.stream = [counts, reading = context.reading("counts")](CountSink& sink,
                                                                const std::vector<std::int64_t>& row_of) {
    DelimitedTable again(counts, {.progress = reading});
    while (again.next())
      for (std::size_t i = 0; i < row_of.size(); ++i) {
        const std::string_view field = again.field(i + 1);
        if (field == "0" || row_of[i] < 0) continue;
        sink.add(row_of[i], again.rows() - 1, again.count(i + 1));
      }
  };
  return matrix;
}

/// Texts as a column of categories, in the order in which they come.
inline H5adColumn category_column(std::string name, const std::vector<std::string>& texts) {
  H5adColumn column;
  column.name = std::move(name);
  std::unordered_map<std::string_view, std::int32_t> codes;
  for (const std::string& text : texts) {
    const auto [found, fresh] = codes.emplace(text, static_cast<std::int32_t>(column.categories.size()));
    if (fresh) column.categories.push_back(text);
    column.codes.push_back(found->second);
  }
  return column;
}

}  // namespace stofm::io
