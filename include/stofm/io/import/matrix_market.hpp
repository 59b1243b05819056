// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Matrices in coordinate form, MatrixMarket (.mtx, .mtx.gz), entry by entry; and the folders of three files
/// that Cell Ranger, Space Ranger and Xenium Ranger write: matrix.mtx, barcodes.tsv, features.tsv or
/// genes.tsv, plain or gzip. Rows are features, columns are cells.
///
/// *Source* https://math.nist.gov/MatrixMarket/formats.html

#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/io/import/count_sink.hpp"
#include "stofm/io/import/delimited_table.hpp"
#include "stofm/io/import/import_source.hpp"

namespace stofm::io {

/// The header and the line of sizes. Nothing is allocated from them.
struct MatrixMarketSizes {
  std::int64_t rows = 0, columns = 0, entries = 0;
};

class MatrixMarket {
 public:
  /// \throws FileError STOFM-3910 no coordinate matrix of numbers, sizes that can not be; and as TextLines
  explicit MatrixMarket(const std::filesystem::path& path, ReadingProgress progress = {})
      : lines_(path, std::move(progress)) {
    std::string_view line;
    const bool some = lines_.next(line);
    const std::string banner = lower_case(line.substr(0, 200));
    if (!some || !banner.starts_with("%%matrixmarket"))
      lines_.fail("STOFM-3910", some ? stofm::quoted(line, 60) : std::string("an empty file"),
                  "%%MatrixMarket in the first line", "Check that it is the right file.");
    for (const char* word : {"array", "complex", "pattern", "symmetric", "hermitian"})
      if (banner.find(word) != std::string::npos)
        lines_.fail("STOFM-3910", concat("a matrix of the kind ", word),
                    "matrix coordinate, integer or real, general",
                    "Write it again as coordinates (scipy.io.mmwrite, Matrix::writeMM).");
    do {
      if (!lines_.next(line)) lines_.fail("STOFM-3910", "the end of the file", "the line of sizes", again);
    } while (line.starts_with('%') || line.empty());
    std::array<std::int64_t, 3> sizes{};
    std::size_t at = 0;
    for (std::int64_t& size : sizes)
      if (!read_integer(line, at, size))
        lines_.fail("STOFM-3910", stofm::quoted(line, 60), "rows, columns and entries, three numbers", again);
    sizes_ = {sizes[0], sizes[1], sizes[2]};
    if (sizes_.rows > 2147483647 || sizes_.columns > 4294967295 || sizes_.entries < 0)
      lines_.fail("STOFM-3910", concat(sizes_.rows, " x ", sizes_.columns), "a matrix below 2^31 x 2^32",
                  again);
  }

  const MatrixMarketSizes& sizes() const { return sizes_; }
  const std::string& path() const { return lines_.path(); }

  /// visit(row, column, value) for every entry, from 0. \throws FileError STOFM-3911 an index out of range,
  /// fewer or more entries than said, 3909 a count that can be none
  template <class Visit>
  void visit(Visit&& visit) {
    std::string_view line;
    std::int64_t entries = 0;
    while (lines_.next(line)) {
      if (line.empty()) continue;
      std::size_t at = 0;
      std::int64_t row = 0, column = 0;
      if (!read_integer(line, at, row) || !read_integer(line, at, column))
        lines_.fail("STOFM-3911", stofm::quoted(line, 60), "row, column, value", again);
      if (row < 1 || row > sizes_.rows || column < 1 || column > sizes_.columns)
        lines_.fail("STOFM-3911", concat("row ", row, ", column ", column),
                    concat("1 to ", sizes_.rows, ", 1 to ", sizes_.columns), again);
      while (at < line.size() && (line[at] == ' ' || line[at] == '\t')) ++at;
      const auto value = parse_table_number(line.substr(at, line.find_last_not_of(" \t") + 1 - at));
      if (!value) lines_.fail("STOFM-3908", stofm::quoted(line, 60), "row, column, value", again);
      if (!(*value >= 0) || std::isinf(*value))
        lines_.fail("STOFM-3909", concat("the value ", *value), "counts that are finite and not negative",
                    "Give the matrix of raw counts.");
      if (++entries > sizes_.entries) break;
      visit(row - 1, column - 1, *value);
    }
    if (entries != sizes_.entries)
      lines_.fail("STOFM-3911",
                  entries > sizes_.entries ? concat("more than ", sizes_.entries, " entries")
                                           : concat("the end after ", entries, " entries"),
                  concat(sizes_.entries, " entries, as line 2 or 3 says"),
                  "The file is cut short: get it again.");
  }

 private:
  static constexpr const char* again = "The file is damaged or cut short: get it again.";

  static bool read_integer(std::string_view line, std::size_t& at, std::int64_t& value) {
    while (at < line.size() && (line[at] == ' ' || line[at] == '\t')) ++at;
    const std::size_t begin = at;
    value = 0;
    for (; at < line.size() && line[at] >= '0' && line[at] <= '9' && at - begin < 18; ++at)
      value = 10 * value + (line[at] - '0');
    return at > begin && (at == line.size() || line[at] == ' ' || line[at] == '\t');
  }

  TextLines lines_;
  MatrixMarketSizes sizes_;
};

/// Cells, features and counts of a matrix, whatever stores it.
struct FeatureMatrix {
  std::vector<std::string> files;
  std::vector<std::string> barcodes;
  ImportFeatures features;
  /// Every count as (cell, feature, value); `row_of`: the cell of the sink that a barcode is, -1: none.
  std::function<void(CountSink&, const std::vector<std::int64_t>& row_of)> stream;
};

namespace detail {

/// The first of `names` in the folder, also with ".gz" behind it; "" if there is none.
inline std::filesystem::path find_plain_or_gzip(const std::filesystem::path& folder,
                                                std::initializer_list<const char*> names) {
  std::error_code ignored;
  for (const char* name : names)
    for (const char* ending : {".gz", ""})
      if (auto path = folder / (std::string(name) + ending); std::filesystem::exists(path, ignored))
        return path;
  return {};
}

inline std::filesystem::path require_file(const std::filesystem::path& folder, const char* format,
                                          std::initializer_list<const char*> names) {
  const std::filesystem::path found = find_plain_or_gzip(folder, names);
  if (!found.empty()) return found;
  std::string list;
  for (const char* name : names) list += concat(list.empty() ? "" : " or ", name, "(.gz)");
  throw FileError({"STOFM-3903", folder.string(), list, concat("no such file in this folder of ", format),
                   "the whole output folder",
                   "Copy the missing file to where the message says, or give the folder that has it."});
}

}  // namespace detail

/// Is this a folder with a matrix.mtx(.gz)?
inline bool is_matrix_folder(const std::filesystem::path& folder) {
  return !detail::find_plain_or_gzip(folder, {"matrix.mtx"}).empty();
}

/// Opens the three files of a folder; the counts are read when they are streamed. \throws FileError
/// STOFM-3903 a file is missing, 3912 names and sizes that do not fit
inline FeatureMatrix open_matrix_folder(const std::filesystem::path& folder, const ImportContext& context) {
  FeatureMatrix matrix;
  const auto counts = detail::require_file(folder, "a 10x matrix", {"matrix.mtx"});
  const auto cells = detail::require_file(folder, "a 10x matrix", {"barcodes.tsv"});
  const auto genes = detail::require_file(folder, "a 10x matrix", {"features.tsv", "genes.tsv"});
  matrix.files = {counts.string(), cells.string(), genes.string()};
  DelimitedTable barcodes(cells, {.delimiter = '\t'});
  barcodes.first_line_is_record(std::vector<std::string>(barcodes.columns()));
  while (barcodes.next()) matrix.barcodes.push_back(barcodes.text(std::size_t{0}));
  DelimitedTable features(genes, {.delimiter = '\t'});
  const std::size_t width = features.columns();
  features.first_line_is_record(std::vector<std::string>(width));
  while (features.next()) {
    if (width > 1) matrix.features.ids.push_back(features.text(std::size_t{0}));
    matrix.features.names.push_back(features.text(width > 1 ? std::size_t{1} : std::size_t{0}));
    if (width > 2) matrix.features.types.push_back(features.text(std::size_t{2}));
  }
  const MatrixMarketSizes sizes = MatrixMarket(counts).sizes();
  if (sizes.rows != static_cast<std::int64_t>(matrix.features.size()) ||
      sizes.columns != static_cast<std::int64_t>(matrix.barcodes.size()))
    throw FileError({"STOFM-3912", counts.string(), "sizes",
                     concat(sizes.rows, " features x ", sizes.columns, " cells"),
                     concat(matrix.features.size(), " x ", matrix.barcodes.size(), ", the lines of ",
                            genes.filename().string(), " and ", cells.filename().string()),
                     "The three files are not of one run, or one is cut short: get them again."});
  matrix.stream = [counts, reading = context.reading("counts")](CountSink& sink,
                                                                const std::vector<std::int64_t>& row_of) {
    MatrixMarket(counts, reading).visit([&](std::int64_t feature, std::int64_t cell, double value) {
      if (const std::int64_t row = row_of[static_cast<std::size_t>(cell)]; row >= 0)
        sink.add(row, feature, value);
    });
  };
  return matrix;
}

}  // namespace stofm::io
