// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice from arrays in memory, without a file and without libhdf5: counts, frames and positions as AnnData
/// holds them. Genes, scale of the counts, libraries and sections on top of each other are found, said and
/// refused as read_h5ad does, by the same code, so that both give the same slice.

#include <cmath>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/array_matrix.hpp"
#include "stofm/io/h5ad_counts_choice.hpp"
#include "stofm/io/h5ad_overlap.hpp"
#include "stofm/io/memory_frame.hpp"

namespace stofm::io {

/// What a slice is made of. The memory of `counts` must outlive the slice; the rest is taken over.
struct SliceArrays {
  MemorySource source;
  ArrayMatrix counts;           ///< [cells, genes]
  MemoryFrame obs;              ///< [cells]
  MemoryFrame var;              ///< [genes] of the matrix that was chosen (raw.var for raw.X)
  H5adCoordinates positions{};  ///< xy of all cells, and z; no xy: there are none, where none are required
};

namespace detail {

/// The slice's counts: one reader, one call at a time.
struct MemoryCounts {
  std::mutex mutex;
  H5adCounts<ArrayMatrix> counts;

  CountRows read(const std::string& path, std::int64_t begin, std::int64_t end) {
    if (begin < 0 || end < begin || end > counts.matrix().rows())
      throw ShapeError({"STOFM-3539", path, "read_counts", concat("cells ", begin, " to ", end),
                        concat("cells of 0 to ", counts.matrix().rows()), "Ask for cells that are there."});
    const std::lock_guard lock(mutex);
    CountRows rows;
    rows.first_row = begin;
    counts.append(begin, end, rows);
    return rows;
  }
};

inline void check_memory_positions(const SliceArrays& arrays, const H5adReadOptions& options,
                                   Notices& notices) {
  const H5adCoordinates& positions = arrays.positions;
  const auto cells = static_cast<std::size_t>(arrays.counts.rows());
  if (positions.xy.size() != 2 * cells)
    throw FileError({"STOFM-3526", arrays.source.path, positions.source,
                     concat(positions.xy.size() / 2, " rows"), concat(cells, ", the cells of obs"),
                     "Give one position for each cell."});
  std::vector<std::int64_t> bad;
  for (std::size_t i = 0; i < cells; ++i)
    if (!std::isfinite(positions.xy[2 * i]) || !std::isfinite(positions.xy[2 * i + 1]))
      bad.push_back(static_cast<std::int64_t>(i));
  if (!bad.empty())
    throw DataError({"STOFM-3531", arrays.source.path, positions.source, bad_rows_text(bad),
                     "finite coordinates", "Mend them, or leave these cells out."});
  if (!positions.z.empty() && options.library_key != "z" &&
      options.library_key.find("obsm:z") == std::string::npos)
    notices.push_back({"STOFM-W3508",
                       "the third column of " + positions.source + " is ignored: only x and y are used",
                       static_cast<std::int64_t>(cells)});
}

}  // namespace detail

/// \param options gene_key, symbol_key, library_key, overlay, counts_scale, accept_noninteger,
/// positions_required, cell_names and memory_limit are used \return a Slice whose read_counts may be called
/// from several threads (one at a time runs) \throws UsageError, DataError, FileError as read_h5ad, with the
/// same codes. *Cost* a look at up to 3 x 2^20 stored values, and the search of h5ad_overlap.hpp.
STOFM_INLINE Slice slice_of_arrays(SliceArrays arrays, const H5adReadOptions& options = {});

}  // namespace stofm::io

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto io::slice_of_arrays(SliceArrays arrays, const H5adReadOptions& options) -> Slice {
  ArrayMatrix& matrix = arrays.counts;
  const std::string& path = arrays.source.path;
  Slice slice;
  slice.path = path;
  slice.counts_source = matrix.path();
  slice.cells = slice.file_cells = matrix.rows();
  slice.file_genes = matrix.columns();
  if (matrix.rows() == 0 || matrix.columns() == 0)
    throw DataError({"STOFM-3527", path, matrix.rows() == 0 ? "obs" : "var",
                     matrix.rows() == 0 ? "0 cells" : "0 genes", "at least one of each",
                     "Give cells with genes."});
  if (arrays.obs.length() != matrix.rows() || arrays.var.length() != matrix.columns())
    throw FileError(
        {"STOFM-3509", path, matrix.path(), concat(matrix.rows(), " x ", matrix.columns()),
         concat(arrays.obs.length(), " x ", arrays.var.length(), " (cells of obs x genes of var)"),
         "Make the matrix again."});
  H5adGenes genes = read_genes(arrays.source, arrays.var, options, slice.notices);
  detail::say_off_tissue(arrays.obs, {}, slice.notices);
  const bool placed = options.positions_required || !arrays.positions.xy.empty();
  if (placed) detail::check_memory_positions(arrays, options, slice.notices);
  const std::int64_t limit =
      options.memory_limit > 0 ? options.memory_limit : std::int64_t{4} << 30;  // nothing large is held
  const CountsReading reading = detail::choose_counts(matrix, genes, options, limit, slice);
  if (options.cell_names) slice.cell_names = arrays.obs.strings(arrays.obs.index());
  std::vector<char> kept;
  detail::read_library(arrays.source, arrays.obs, options, arrays.positions, kept, slice);
  slice.coordinates =
      placed ? Tensor<double>::from({slice.cells, 2}, std::span<const double>(arrays.positions.xy))
             : Tensor<double>::zeros({slice.cells, 2});
  slice.coordinates_source = arrays.positions.source;
  if (options.positions_required && !options.overlay) {
    detail::refuse_one_place(arrays.source, arrays.obs, slice, limit);
    detail::OverlapSearch(arrays.source, arrays.obs, options, arrays.positions, slice, limit).refuse();
  }
  genes.give_names_to(slice);
  const std::shared_ptr<detail::MemoryCounts> counts(new detail::MemoryCounts{
      {}, {std::move(matrix), std::move(genes.column_of_gene), std::move(genes.labels), reading}});
  slice.read_counts = [counts, path](std::int64_t begin, std::int64_t end) {
    return counts->read(path, begin, end);
  };
  slice.stream_notices = [counts] {
    const std::lock_guard lock(counts->mutex);
    return counts->counts.notices();
  };
  return slice;
}

}  // namespace stofm
#endif
