// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Stereo-seq as text: .gem and .gem.gz (GEM 0.1 and 0.2). A line a gene and place: geneID (and geneName), x,
/// y, MIDCount, with ExonCount and CellID where there are such. Cells by their label if there is one and no
/// bin is asked for, at the mean place of their molecules; else squares of --bin places (50), at their
/// middles, called "X_Y" by their corner. Label 0 is what lies in no cell.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/io/import/count_sink.hpp"
#include "stofm/io/import/delimited_table.hpp"
#include "stofm/io/import/import_options.hpp"
#include "stofm/io/import/import_source.hpp"

namespace stofm::io {

inline constexpr std::int64_t stereo_seq_bin = 50;  ///< as stereopy's

/// Squares of places, or labelled cells, collected and then put in order: by rows of the chip, by labels.
class PlaceGroups {
 public:
  explicit PlaceGroups(std::int64_t bin) : bin_(bin) {}  ///< 0: by label

  /// Makes it known. Coordinates of squares: 0 <= x, y < 2^31.
  void collect(std::int64_t x, std::int64_t y, std::int64_t label, double count) {
    Group& group = groups_[key(x, y, label)];
    group.x += static_cast<double>(x) * count;
    group.y += static_cast<double>(y) * count;
    group.count += count;
  }
  /// Numbers the groups and names them.
  void finish(ImportSource& source) {
    std::vector<std::uint64_t> keys;
    for (const auto& [key, group] : groups_) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      Group& group = groups_.at(keys[i]);
      group.number = static_cast<std::int64_t>(i);
      if (bin_ == 0) {
        source.cells.push_back(std::to_string(keys[i]));
        source.xy.insert(source.xy.end(), {group.x / group.count, group.y / group.count});
        continue;
      }
      const auto x = static_cast<std::int64_t>(keys[i] & 0xffffffffU) * bin_;
      const auto y = static_cast<std::int64_t>(keys[i] >> 32) * bin_;
      const double middle = static_cast<double>(bin_ - 1) / 2;
      source.cells.push_back(concat(x, "_", y));
      source.xy.insert(source.xy.end(), {static_cast<double>(x) + middle, static_cast<double>(y) + middle});
    }
  }
  std::int64_t number(std::int64_t x, std::int64_t y, std::int64_t label) const {
    return groups_.at(key(x, y, label)).number;
  }

 private:
  struct Group {
    double x = 0, y = 0, count = 0;
    std::int64_t number = 0;
  };
  std::uint64_t key(std::int64_t x, std::int64_t y, std::int64_t label) const {
    if (bin_ == 0) return static_cast<std::uint64_t>(label);
    return static_cast<std::uint64_t>(y / bin_) << 32 | static_cast<std::uint64_t>(x / bin_);
  }

  std::int64_t bin_;
  std::unordered_map<std::uint64_t, Group> groups_;
};

namespace detail {

/// Where a .gem has what.
struct GemColumns {
  std::size_t gene = 0, x = 0, y = 0, count = 0;
  std::int64_t name = -1, label = -1;
};

inline GemColumns find_gem_columns(const DelimitedTable& table) {
  const char* remedy = "Give the .gem.gz as the pipeline (SAW) wrote it.";
  GemColumns columns;
  columns.gene = table.require({"geneID", "gene", "geneName"}, remedy);
  columns.x = table.require({"x"}, remedy);
  columns.y = table.require({"y"}, remedy);
  columns.count = table.require({"MIDCount", "MIDCounts", "UMICount", "UMICounts"}, remedy);
  columns.name = table.find("geneName");
  if (columns.name == static_cast<std::int64_t>(columns.gene)) columns.name = -1;
  for (const char* name : {"CellID", "cell_id", "cell", "label"})
    if (columns.label < 0) columns.label = table.find(name);
  return columns;
}

/// One record of a .gem.
struct GemRecord {
  std::int64_t x = 0, y = 0, label = 0;
  double count = 0;
};

inline GemRecord read_gem_record(const DelimitedTable& table, const GemColumns& columns) {
  const auto whole = [&table](std::size_t column, std::int64_t least) {
    const auto value = parse_table_number(table.field(column));
    if (!value || *value != std::floor(*value) || *value < static_cast<double>(least) ||
        *value > 2147483647.0)
      throw FileError({"STOFM-3908", table.path(), concat("line ", table.line()),
                       concat(stofm::quoted(table.field(column), 40), " in column ",
                              stofm::quoted(table.names()[column], 40)),
                       concat("a whole number from ", least, " to 2^31 - 1"), "Get the file again."});
    return static_cast<std::int64_t>(*value);
  };
  GemRecord record{whole(columns.x, 0), whole(columns.y, 0), 0, table.count(columns.count)};
  if (columns.label >= 0) record.label = whole(static_cast<std::size_t>(columns.label), -1);
  return record;
}

}  // namespace detail

inline ImportSource open_gem(const std::filesystem::path& file, std::int64_t bin,
                             const ImportContext& context) {
  ImportSource source;
  source.format = "stereo-seq";
  source.unit = "places of the chip (500 nm)";
  source.background = "records of label 0, which is no cell";
  source.unordered = true;
  source.files = {file.string()};
  const auto open = [file](ReadingProgress progress) {
    return std::make_unique<DelimitedTable>(
        file, DelimitedOptions{.delimiter = '\t', .comment = "#", .progress = std::move(progress)});
  };
  const auto table = open(context.reading("places"));
  detail::GemColumns columns = detail::find_gem_columns(*table);
  if (columns.label < 0 && bin == 0) bin = stereo_seq_bin;
  if (bin > 0) columns.label = -1;
  const auto groups = std::make_shared<PlaceGroups>(bin);
  const auto genes = std::make_shared<std::unordered_map<std::string, std::int64_t>>();
  std::string last;
  while (table->next()) {
    const detail::GemRecord record = detail::read_gem_record(*table, columns);
    if (const std::string_view gene = table->field(columns.gene); gene != last) {
      last = gene;
      if (genes->emplace(last, static_cast<std::int64_t>(genes->size())).second) {
        source.features.names.push_back(
            table->text(columns.name >= 0 ? static_cast<std::size_t>(columns.name) : columns.gene));
        if (columns.name >= 0) source.features.ids.push_back(table->text(columns.gene));
      }
    }
    if ((bin == 0 && record.label <= 0) || record.count == 0) continue;
    groups->collect(record.x, record.y, record.label, record.count);
  }
  groups->finish(source);
  if (bin > 0) source.facts["bin"] = bin;
  source.stream = [open, columns, bin, groups, genes, reading = context.reading("counts")](CountSink& sink) {
    const auto again = open(reading);
    std::string gene;
    std::int64_t number = -1;
    while (again->next()) {
      const detail::GemRecord record = detail::read_gem_record(*again, columns);
      if (record.count == 0) continue;
      if (bin == 0 && record.label <= 0) {
        sink.skip_background();
        continue;
      }
      if (const std::string_view now = again->field(columns.gene); number < 0 || now != gene) {
        gene = now;
        number = genes->at(gene);
      }
      sink.add(groups->number(record.x, record.y, record.label), number, record.count);
    }
  };
  return source;
}

}  // namespace stofm::io
