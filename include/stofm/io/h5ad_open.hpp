// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// An .h5ad file opened in this process: everything of a Slice but the counts is read and checked, the counts
/// wait. The caller holds hdf5_mutex() and a Hdf5Quiet whenever one of these functions runs.

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_counts.hpp"
#include "stofm/io/h5ad_genes.hpp"

namespace stofm::io {

namespace detail {

/// The cap of one held array: the option, else 80 % of the memory that is free now.
inline std::int64_t memory_limit_of(const H5adReadOptions& options) {
  if (options.memory_limit > 0) return options.memory_limit;
  std::ifstream info("/proc/meminfo");
  std::string name;
  std::int64_t kibibytes = 0;
  std::string unit;
  while (info >> name >> kibibytes >> unit)
    if (name == "MemAvailable:") return kibibytes / 5 * 4 * 1024;
  return std::int64_t{4} << 30;
}

/// Refuses relatives of .h5ad by name.
inline void require_anndata(const Hdf5File& file) {
  const auto kind_of = [&file](const char* path) { return open_hdf5_object(file, path).kind; };
  const Hdf5Object root = open_hdf5_object(file, "/");
  const std::string encoding = read_encoding(file, root);
  if (encoding == "MuData" || (kind_of("mod") == Hdf5Kind::group && kind_of("obs") != Hdf5Kind::absent &&
                               kind_of("X") == Hdf5Kind::absent))
    throw FileError({"STOFM-3504", file.path, "", "a MuData file (.h5mu)", "an AnnData file (.h5ad)",
                     "Take one modality out with mudata and write it as .h5ad."});
  if (kind_of("obs") == Hdf5Kind::absent && kind_of("matrix/barcodes") == Hdf5Kind::dataset)
    throw FileError(
        {"STOFM-3504", file.path, "", "a 10x file (feature-barcode matrix)", "an AnnData file (.h5ad)",
         "Convert with scanpy: sc.read_10x_h5(FILE).write(\"out.h5ad\"), and add obsm[\"spatial\"]."});
  if (!encoding.empty() && encoding != "anndata")
    throw FileError({"STOFM-3508", file.path, "", "encoding " + stofm::quoted(encoding, 60), "anndata",
                     "Write the file again with anndata."});
}

/// "layers/counts, raw/X": where counts may be, each with its option.
inline std::string count_candidates(const Hdf5File& file, const std::string& but) {
  std::string text;
  const auto add = [&text](const std::string& piece) { text += (text.empty() ? "" : ", ") + piece; };
  if (but != "X" && open_hdf5_object(file, "X").kind != Hdf5Kind::absent) add("X (--layer X)");
  const Hdf5Object layers = open_hdf5_object(file, "layers");
  if (layers.kind == Hdf5Kind::group) {
    std::vector<std::string> names = hdf5_names(file, layers, 20);
    std::stable_partition(names.begin(), names.end(),
                          [](const std::string& name) { return name == "counts"; });
    for (const auto& name : names)
      if (but != "layers/" + name)
        add("layers[" + stofm::quoted(name, 60) + "] (--layer " + name.substr(0, 60) + ")");
  }
  if (but != "raw/X" && open_hdf5_object(file, "raw/X").kind != Hdf5Kind::absent) add("raw/X (--use-raw)");
  return text;
}

/// Counts look normalised, or there are none: D16, D06.
inline void require_counts(const Hdf5File& file, H5adMatrix& matrix, const H5adReadOptions& options) {
  const H5adValueCheck check = check_values(matrix);
  if (check.complete && check.positive == 0)
    throw DataError({"STOFM-3528", file.path, matrix.path(), "no count above 0 in any cell", "counts",
                     "Give the file with the counts."});
  if (check.fractional == 0 || options.accept_noninteger) return;
  const std::string candidates = count_candidates(file, matrix.path());
  const double percent = 100.0 * static_cast<double>(check.fractional) / static_cast<double>(check.looked_at);
  std::ostringstream found;
  found.imbue(std::locale::classic());
  found.precision(percent < 1 ? 1 : 3);
  found << "values that look normalised: max " << check.maximum << ", " << percent << " % of "
        << check.looked_at << " stored values fractional";
  throw DataError({"STOFM-3529", file.path, matrix.path(), found.str(), "raw counts",
                   (candidates.empty() ? std::string("Give raw counts") : "Give raw counts: " + candidates) +
                       ", or accept these with --accept-noninteger."});
}

}  // namespace detail

/// The open file with the parts that streaming needs.
struct H5adOpen {
  std::unique_ptr<Hdf5File> file;  ///< first: the rest points to it
  Slice slice;                     ///< without the functions
  std::unique_ptr<H5adCounts> counts;

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

  Notices stream_notices() const {
    if (counts->duplicates() == 0) return {};
    return {{"STOFM-W3503",
             concat(counts->duplicates(), " entries repeat a gene of their cell; they are summed"),
             counts->duplicates()}};
  }
};

namespace detail {

/// D28: does a column say that there are several slices in the file?
inline void read_library(const Hdf5File& file, const H5adFrame& obs, const std::string& key, Slice& slice) {
  static constexpr std::array names{"library_id", "library", "sample_id",  "sample",
                                    "slice",      "section", "section_id", "fov"};
  if (!key.empty()) {
    if (!obs.has(key))
      throw UsageError({"STOFM-3538", file.path, "obs/" + key,
                        "nothing; obs has " + name_list(obs.columns(), 20), "the column of the slices",
                        "Name a column of obs with --library-key."});
    H5adCategorical groups = obs.categorical(key);
    for (const std::int64_t code : groups.codes) slice.library.push_back(static_cast<std::int32_t>(code));
    slice.library_names = std::move(groups.categories);
    return;
  }
  for (const char* name : names) {
    if (!obs.has(name)) continue;
    H5adCategorical groups;
    try {
      groups = obs.categorical(name);
    } catch (const Error&) {
      continue;  // not asked for: an odd column is none of our business
    }
    std::vector<char> used(groups.categories.size(), 0);
    for (const std::int64_t code : groups.codes)
      if (code >= 0) used[static_cast<std::size_t>(code)] = 1;
    const auto several = std::count(used.begin(), used.end(), 1);
    if (several < 2) continue;
    slice.notices.push_back(
        {"STOFM-W3504",
         concat("obs[\"", name, "\"] has ", several,
                " values: if these are several slices, keep them apart with --library-key ", name),
         several});
    return;
  }
}

}  // namespace detail

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
  if (options.use_raw && !options.layer.empty())
    throw UsageError({"STOFM-3537", path, "", "--layer and --use-raw", "one of them", "Leave one out."});
  slice.counts_source = options.use_raw                                 ? "raw/X"
                        : options.layer.empty() || options.layer == "X" ? "X"
                                                                        : "layers/" + options.layer;
  const H5adFrame obs(file, "obs", limit);
  const H5adFrame var(
      file, options.use_raw && open_hdf5_object(file, "raw").kind == Hdf5Kind::group ? "raw/var" : "var",
      limit);
  if (open_hdf5_object(file, slice.counts_source).kind == Hdf5Kind::absent) {
    const std::string candidates = detail::count_candidates(file, slice.counts_source);
    throw DataError({"STOFM-3505", path, slice.counts_source,
                     "nothing; counts may be in " + (candidates.empty() ? "no other place" : candidates),
                     "a matrix of counts", "Choose one with --layer or --use-raw."});
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
  H5adGenes genes = read_genes(file, var, options, slice.notices);
  H5adCoordinates positions = read_coordinates(file, obs, options, limit, slice.notices);
  detail::require_counts(file, matrix, options);
  detail::read_library(file, obs, options.library_key, slice);
  if (options.cell_names) slice.cell_names = obs.strings(obs.index());

  if (!positions.bad_rows.empty()) {
    std::size_t bad = 0;
    std::size_t kept = 0;
    for (std::int64_t row = 0; row < obs.length(); ++row) {
      if (bad < positions.bad_rows.size() && positions.bad_rows[bad] == row) {
        ++bad;
        continue;
      }
      const auto from = static_cast<std::size_t>(row);
      slice.file_rows.push_back(row);
      positions.xy[2 * kept] = positions.xy[2 * from];
      positions.xy[2 * kept + 1] = positions.xy[2 * from + 1];
      if (options.cell_names && kept != from) slice.cell_names[kept] = std::move(slice.cell_names[from]);
      if (!slice.library.empty()) slice.library[kept] = slice.library[from];
      ++kept;
    }
    positions.xy.resize(2 * kept);
    if (options.cell_names) slice.cell_names.resize(kept);
    if (!slice.library.empty()) slice.library.resize(kept);
    if (kept == 0)
      throw DataError({"STOFM-3531", path, positions.source, "no cell with finite coordinates",
                       "at least one", "Mend the coordinates."});
  }
  slice.cells = static_cast<std::int64_t>(positions.xy.size()) / 2;
  slice.coordinates = Tensor<double>::from({slice.cells, 2}, std::span<const double>(positions.xy));
  slice.gene_ids = genes.ids;
  slice.gene_symbols = std::move(genes.symbols);
  open.counts = std::make_unique<H5adCounts>(std::move(matrix), std::move(genes.column_of_gene),
                                             std::move(genes.ids), options.accept_noninteger, path);
  return open;
}

}  // namespace stofm::io
