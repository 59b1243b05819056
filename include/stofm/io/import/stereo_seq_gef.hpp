// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Stereo-seq as HDF5: .gef. With cellBin/ (cell, cellExp, gene) cells at the middles that the file states;
/// with geneExp/bin1 (gene, expression) squares of --bin places, summed from bin1. The caller holds
/// hdf5_mutex() and a Hdf5Quiet.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/import/find_format.hpp"
#include "stofm/io/import/hdf5_records.hpp"
#include "stofm/io/import/stereo_seq_gem.hpp"

namespace stofm::io {

namespace detail {

/// Names (and ids, where the file has both) of the genes, and where the counts of each begin.
inline std::vector<std::int64_t> read_gef_genes(Hdf5Records& genes, ImportFeatures& features, bool counts) {
  const std::string name = genes.find({"geneName", "gene"});
  const std::string id = genes.find({"geneID"});
  const Hdf5Records::Member shown = genes.text({"geneName", "gene", "geneID"});
  const Hdf5Records::Member ids = id.empty() ? shown : genes.text({"geneID"});
  const Hdf5Records::Member size = counts ? genes.number({"count"}) : Hdf5Records::Member{};
  std::vector<std::int64_t> ends;
  genes.each({}, [&](const std::byte* record, std::int64_t row) {
    features.names.push_back(genes.text_at(record, shown, row));
    if (!id.empty() && !name.empty()) features.ids.push_back(genes.text_at(record, ids, row));
    if (counts) ends.push_back((ends.empty() ? 0 : ends.back()) + Hdf5Records::number_at(record, size));
  });
  return ends;
}

/// Squares of a file. Records of `expression` follow each other gene by gene.
inline void open_gef_bins(const std::shared_ptr<Hdf5File>& file, std::int64_t bin,
                          const ImportContext& context, ImportSource& source) {
  if (bin == 0) bin = stereo_seq_bin;
  std::string group = "geneExp/bin1";
  const bool places = open_hdf5_object(*file, group).kind == Hdf5Kind::group;
  if (!places) group = concat("geneExp/bin", bin);  // made of others before: its squares are told as they are
  if (open_hdf5_object(*file, group).kind != Hdf5Kind::group)
    throw FileError({"STOFM-3918", file->path, "geneExp", concat("neither bin1 nor bin", bin),
                     "places (bin1) or squares of that side",
                     "Choose a bin that the file has, with ImportOptions::bin."});
  const std::int64_t side = places ? bin : 1;
  Hdf5Records genes(*file, group + "/gene");
  const std::vector<std::int64_t> ends = read_gef_genes(genes, source.features, true);
  const auto visit = [file, group](const ReadingProgress& progress, auto&& each) {
    Hdf5Records records(*file, group + "/expression");
    const auto x = records.number({"x"}), y = records.number({"y"}), count = records.number({"count"});
    records.each(progress, [&](const std::byte* record, std::int64_t row) {
      const std::int64_t at_x = Hdf5Records::number_at(record, x), at_y = Hdf5Records::number_at(record, y);
      const std::int64_t mids = Hdf5Records::number_at(record, count);
      if (at_x < 0 || at_y < 0 || at_x > 2147483647 || at_y > 2147483647 || mids < 0)
        records.fail(concat("record ", row, ": x ", at_x, ", y ", at_y, ", count ", mids),
                     "numbers from 0 up");
      each(at_x, at_y, mids, row);
    });
    return records.size();
  };
  const auto groups = std::make_shared<PlaceGroups>(side);
  const std::int64_t size = visit(context.reading("places"), [&](auto x, auto y, auto mids, auto) {
    if (mids > 0) groups->collect(x, y, 0, 1);
  });
  if (ends.empty() || ends.back() != size)
    genes.fail(concat("counts of ", ends.empty() ? 0 : ends.back(), " records"),
               concat(size, ", the length of expression"));
  groups->finish(source);
  source.facts["bin"] = bin;
  source.unordered = true;
  source.stream = [visit, ends, groups, reading = context.reading("counts")](CountSink& sink) {
    std::size_t gene = 0;
    visit(reading, [&](auto x, auto y, auto mids, auto row) {
      while (ends[gene] <= row) ++gene;
      if (mids > 0)
        sink.add(groups->number(x, y, 0), static_cast<std::int64_t>(gene), static_cast<double>(mids));
    });
  };
}

/// Cells of a file. Records of `cellExp` follow each other cell by cell.
inline void open_gef_cells(const std::shared_ptr<Hdf5File>& file, const ImportContext& context,
                           ImportSource& source) {
  Hdf5Records genes(*file, "cellBin/gene");
  (void)read_gef_genes(genes, source.features, false);
  Hdf5Records cells(*file, "cellBin/cell");
  const auto id = cells.number({"id"}), x = cells.number({"x"}), y = cells.number({"y"});
  const auto size = cells.number({"geneCount"});
  std::vector<std::int64_t> ends;
  cells.each({}, [&](const std::byte* record, std::int64_t) {
    source.cells.push_back(std::to_string(Hdf5Records::number_at(record, id)));
    source.xy.push_back(static_cast<double>(Hdf5Records::number_at(record, x)));
    source.xy.push_back(static_cast<double>(Hdf5Records::number_at(record, y)));
    ends.push_back((ends.empty() ? 0 : ends.back()) + Hdf5Records::number_at(record, size));
  });
  (void)index_ids(source.cells, file->path, true);
  Hdf5Records first(*file, "cellBin/cellExp");
  if ((ends.empty() ? 0 : ends.back()) != first.size())
    cells.fail(concat("geneCount of ", ends.empty() ? 0 : ends.back(), " records"),
               concat(first.size(), ", the length of cellExp"));
  const auto features = static_cast<std::int64_t>(source.features.size());
  source.stream = [file, ends, features, reading = context.reading("counts")](CountSink& sink) {
    Hdf5Records records(*file, "cellBin/cellExp");
    const auto gene = records.number({"geneID"}), count = records.number({"count"});
    std::size_t cell = 0;
    records.each(reading, [&](const std::byte* record, std::int64_t row) {
      while (ends[cell] <= row) ++cell;
      const std::int64_t which = Hdf5Records::number_at(record, gene);
      const std::int64_t mids = Hdf5Records::number_at(record, count);
      if (which < 0 || which >= features || mids < 0)
        records.fail(concat("record ", row, ": gene ", which, ", count ", mids),
                     concat("genes 0 to ", features - 1, ", counts from 0 up"));
      sink.add(static_cast<std::int64_t>(cell), which, static_cast<double>(mids));
    });
  };
}

}  // namespace detail

inline ImportSource open_gef(const std::filesystem::path& path, std::int64_t bin,
                             const ImportContext& context) {
  ImportSource source;
  source.format = "stereo-seq";
  source.unit = "places of the chip (500 nm)";
  source.files = {path.string()};
  const auto file = std::make_shared<Hdf5File>(open_hdf5_file(path.string()));
  const auto is_group = [&](const char* name) {
    return open_hdf5_object(*file, name).kind == Hdf5Kind::group;
  };
  const bool cells = is_group("cellBin"), bins = is_group("geneExp");
  if (cells && (bin == 0 || !bins)) {
    if (bin > 0)
      throw UsageError({"STOFM-3919", path.string(), "ImportOptions::bin", "cells alone, no geneExp",
                        "a .gef with geneExp",
                        "Leave ImportOptions::bin out, or give the .gef of the bins."});
    detail::open_gef_cells(file, context, source);
  } else if (bins) {
    detail::open_gef_bins(file, bin, context, source);
  } else {
    throw FileError({"STOFM-3913", path.string(), "", "an HDF5 file without cellBin and geneExp",
                     "a .gef of Stereo-seq", "Give the .gef as the pipeline (SAW) wrote it."});
  }
  return source;
}

/// The file of a folder: cells before squares, .gef before .gem.
inline ImportSource open_stereo_seq(const std::filesystem::path& path, const ImportOptions& options,
                                    const ImportContext& context) {
  std::filesystem::path file = path;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    file.clear();
    for (const std::string_view ending : {".cellbin.gef", ".gef", ".gem.gz", ".gem"})
      if (file.empty() && !(ending == ".cellbin.gef" && options.bin > 0))
        file = detail::only_one(detail::entries_ending(path, {ending}), path);
    if (file.empty())
      throw FileError({"STOFM-3903", path.string(), "*.gef or *.gem.gz",
                       "no such file in this folder of Stereo-seq", "one of the two",
                       "Give the file itself."});
  }
  const std::string name = lower_case(file.filename().string());
  return name.ends_with(".gef") ? open_gef(file, options.bin, context) : open_gem(file, options.bin, context);
}

}  // namespace stofm::io
