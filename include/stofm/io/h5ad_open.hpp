// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// An .h5ad file opened in this process: everything of a Slice but the counts is read and checked, the counts
/// wait. The caller holds hdf5_mutex() and a Hdf5Quiet whenever one of these functions runs.

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/machine.hpp"
#include "stofm/io/h5ad_counts.hpp"
#include "stofm/io/h5ad_counts_choice.hpp"
#include "stofm/io/h5ad_counts_places.hpp"
#include "stofm/io/h5ad_genes.hpp"
#include "stofm/io/h5ad_obs_columns.hpp"
#include "stofm/io/h5ad_obs_groups.hpp"
#include "stofm/io/h5ad_overlap.hpp"
#include "stofm/io/h5ad_relatives.hpp"

namespace stofm::io {

namespace detail {

/// The cap of one held array: the option, else 80 % of the memory that is free now.
inline std::int64_t memory_limit_of(const H5adReadOptions& options) {
  if (options.memory_limit > 0) return options.memory_limit;
  const std::int64_t available = available_physical_memory();
  return available == unknown_memory ? std::int64_t{4} << 30 : available / 5 * 4;
}

}  // namespace detail

/// The open file with the parts that streaming needs.
struct H5adOpen {
  std::unique_ptr<Hdf5File> file;  ///< first: the rest points to it
  Slice slice;                     ///< without the functions
  std::unique_ptr<H5adCounts<H5adMatrix>> counts;

  /// Counts of cells [begin, end) of the slice, also where cells were left out.
  CountRows read(std::int64_t begin, std::int64_t end) {
    if (begin < 0 || end < begin || end > slice.cells)
      throw ShapeError({"STOFM-3539", slice.path, "read_counts", concat("cells ", begin, " to ", end),
                        concat("cells of 0 to ", slice.cells), "Ask for cells that are there."});
    CountRows rows;
    rows.first_row = begin;
    if (slice.file_rows.empty()) {
      counts->append(begin, end, rows);
      return rows;
    }
    for (std::int64_t i = begin; i < end;) {  // runs of neighbouring rows of the file
      std::int64_t j = i + 1;
      const auto row = [this](std::int64_t k) { return slice.file_rows[static_cast<std::size_t>(k)]; };
      while (j < end && row(j) == row(j - 1) + 1) ++j;
      counts->append(row(i), row(j - 1) + 1, rows);
      i = j;
    }
    return rows;
  }

  Notices stream_notices() const { return counts->notices(); }
};

/// Opens `path` and reads all but the counts. `progress` is called now and then, also later while counts are
/// read. \throws FileError, DataError, UsageError, ResourceError
inline H5adOpen open_h5ad(const std::string& path, const H5adReadOptions& options,
                          std::function<void()> progress = {}) {
  H5adOpen open;
  open.file = std::make_unique<Hdf5File>(open_hdf5_file(path));
  open.file->progress = std::move(progress);
  const Hdf5File& file = *open.file;
  const std::int64_t limit = detail::memory_limit_of(options);
  detail::require_anndata(file);
  Slice& slice = open.slice;
  slice.path = path;
  slice.identity = file.identity;
  if (options.use_raw && !options.layer.empty())
    throw UsageError({"STOFM-3537", path, "", "H5adReadOptions::layer and H5adReadOptions::use_raw",
                      "one of them", "Leave one out."});
  slice.counts_source = options.use_raw                                 ? "raw/X"
                        : options.layer.empty() || options.layer == "X" ? "X"
                                                                        : "layers/" + options.layer;
  const H5adFrame obs(file, "obs", limit);
  const H5adFrame var(
      file, options.use_raw && open_hdf5_object(file, "raw").kind == Hdf5Kind::group ? "raw/var" : "var",
      limit);
  if (open_hdf5_object(file, slice.counts_source).kind == Hdf5Kind::absent) {
    const std::string candidates = count_candidates(file, slice.counts_source);
    throw DataError({"STOFM-3505", path, slice.counts_source,
                     "nothing; counts may be in " + (candidates.empty() ? "no other place" : candidates),
                     "a matrix of counts",
                     "Choose one with H5adReadOptions::layer or H5adReadOptions::use_raw."});
  }
  if (obs.length() == 0)
    throw DataError({"STOFM-3527", path, "obs", "0 cells", "at least one cell", "Give a file with cells."});
  if (var.length() == 0)
    throw DataError(
        {"STOFM-3527", path, var.path(), "0 genes", "at least one gene", "Give a file with genes."});
  if (var.length() > 2147483647)
    throw FileError({"STOFM-3515", path, var.path(), concat(var.length(), " genes"), "fewer than 2^31",
                     "Write the file again."});
  slice.file_cells = obs.length();
  H5adMatrix matrix(file, slice.counts_source, obs.length(), var.length(), limit);
  if (matrix.values().is_all_zero())
    throw DataError({"STOFM-3528", path, slice.counts_source,
                     concat("no count: ", matrix.entries(), " values declared, none ever stored"),
                     "counts above 0", "Give the file with the counts."});
  H5adGenes genes = read_genes(file, var, options, slice.notices);
  std::vector<char> asked_for = detail::rows_asked_for(file, obs, options.only, slice.notices);
  detail::say_off_tissue(obs, asked_for, slice.notices);
  H5adCoordinates positions = read_coordinates(file, obs, options, asked_for, limit, slice.notices);
  const CountsReading reading = detail::choose_counts(matrix, genes, options, limit, slice);
  if (options.cell_names) slice.cell_names = obs.strings(obs.index());
  for (const std::string& name : options.obs_columns)
    slice.labels.push_back(detail::read_asked_column(file, obs, name));
  detail::read_labels(file, obs, options.label_columns, limit, slice);

  if (!positions.bad_rows.empty()) {
    if (asked_for.empty()) asked_for.assign(static_cast<std::size_t>(obs.length()), 1);
    for (const std::int64_t row : positions.bad_rows) asked_for[static_cast<std::size_t>(row)] = 0;
  }
  detail::read_library(file, obs, options, positions, asked_for, slice);
  if (!asked_for.empty()) {
    for (std::size_t row = 0; row < asked_for.size(); ++row)
      if (asked_for[row] != 0) slice.file_rows.push_back(static_cast<std::int64_t>(row));
    if (slice.file_rows.empty())
      throw DataError({"STOFM-3531", path, positions.source, "no cell with finite coordinates and a library",
                       "at least one", "Mend the coordinates."});
    detail::keep_rows(positions.xy, slice.file_rows, 2);
    detail::keep_rows(slice.cell_names, slice.file_rows);
    detail::keep_rows(slice.library, slice.file_rows);
    for (SliceLabels& labels : slice.labels) detail::keep_rows(labels.codes, slice.file_rows);
  }
  for (std::size_t i = 0; i < options.obs_columns.size(); ++i)
    detail::finish_asked_column(slice.labels[i], slice.notices);
  slice.cells = static_cast<std::int64_t>(positions.xy.size()) / 2;
  slice.coordinates = Tensor<double>::from({slice.cells, 2}, std::span<const double>(positions.xy));
  slice.coordinates_source = positions.source;
  if (options.positions_required && !options.overlay) {
    detail::refuse_one_place(file, obs, slice, limit);
    detail::OverlapSearch(file, obs, options, positions, slice, limit).refuse();
  }
  slice.file_genes = var.length();
  genes.give_names_to(slice);
  open.counts = std::make_unique<H5adCounts<H5adMatrix>>(std::move(matrix), std::move(genes.column_of_gene),
                                                         std::move(genes.labels), reading);
  return open;
}

}  // namespace stofm::io
