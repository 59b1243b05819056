// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One entry of obsm as positions: an array of numbers or text, a sparse matrix, or a data frame, whose
/// columns are found by their names.

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/io/coordinate_names.hpp"
#include "stofm/io/h5ad_matrix.hpp"
#include "stofm/io/name_list.hpp"

namespace stofm::io {

/// Positions of all cells of a file.
struct CoordinateTable {
  std::vector<double> xy;  ///< [2 * cells], x and y of a cell side by side
  std::vector<double> z;   ///< [cells] of a third column, or empty
  std::string columns;     ///< of a frame: "imagecol, imagerow"; else empty
};

namespace detail {

/// A column as numbers if it is one: numbers, or text that is a number throughout.
inline std::optional<std::vector<double>> numbers_if_any(const H5adFrame& frame, const std::string& column) {
  try {
    return frame.numbers(column);
  } catch (const DataError&) {
    return std::nullopt;  // text
  } catch (const FileError&) {
    return std::nullopt;  // an encoding that holds no numbers
  }
}

/// A table of text as numbers, row-major. \throws DataError with the row
inline std::vector<double> numbers_of_text(Hdf5Dataset& data, std::int64_t memory_limit) {
  const std::vector<std::string> text = read_strings(data, memory_limit, 2);
  std::vector<double> values(text.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!parse_number(text[i], values[i]))
      throw DataError({"STOFM-3536", data.file().path,
                       concat(data.where(), ", row ", static_cast<std::int64_t>(i) / data.dim(1)),
                       stofm::quoted(text[i], 60), "a number", "Write the coordinates as numbers."});
  return values;
}

/// Columns of a frame by their names (x and y, imagecol and imagerow, ...), else its only two or three
/// columns of numbers. \throws FileError (STOFM-3526) there are none
inline CoordinateTable read_coordinate_frame(const Hdf5File& file, const H5adFrame& frame) {
  CoordinateTable table;
  const std::vector<std::string> names = frame.columns();
  const auto use = [&](const std::string& x, const std::vector<double>& xs, const std::string& y,
                       const std::vector<double>& ys) {
    table.xy.resize(2 * xs.size());
    for (std::size_t i = 0; i < xs.size(); ++i) table.xy[2 * i] = xs[i], table.xy[2 * i + 1] = ys[i];
    table.columns = x + ", " + y;
  };
  for (const CoordinatePair& pair : find_coordinate_pairs(names)) {
    const auto x = numbers_if_any(frame, pair.x), y = numbers_if_any(frame, pair.y);
    if (!x || !y) continue;
    use(pair.x, *x, pair.y, *y);
    for (const char* name : {"z", "Z"})
      if (std::find(names.begin(), names.end(), name) != names.end())
        table.z = numbers_if_any(frame, name).value_or(std::vector<double>());
    return table;
  }
  std::vector<std::pair<std::string, std::vector<double>>> numbers;
  for (const std::string& name : names) {
    if (numbers.size() > 3) break;
    if (auto column = numbers_if_any(frame, name)) numbers.emplace_back(name, *std::move(column));
  }
  if (numbers.size() != 2 && numbers.size() != 3)
    throw FileError({"STOFM-3526", file.path, frame.path(),
                     concat("a table of the columns ", name_list(names), ", ",
                            numbers.empty()      ? std::string("none")
                            : numbers.size() > 3 ? std::string("more than 3")
                                                 : concat(numbers.size()),
                            " of them numbers"),
                     "columns x and y, or 2 or 3 columns of numbers",
                     "Name another key with H5adReadOptions::spatial_key, or name the columns x and y."});
  use(numbers[0].first, numbers[0].second, numbers[1].first, numbers[1].second);
  if (numbers.size() == 3) table.z = std::move(numbers[2].second);
  return table;
}

/// Columns of an obsm entry that is no frame: -1 if it is no table of numbers. Nothing is read.
inline std::int64_t coordinate_columns(const Hdf5File& file, const Hdf5Object& object) {
  if (object.kind == Hdf5Kind::dataset) {
    const Hdf5Dataset data = open_hdf5_dataset(file, object.path);
    return data.rank() == 2 && (data.type().is_number() || data.type().is_string()) ? data.dim(1) : -1;
  }
  if (object.kind != Hdf5Kind::group) return -1;
  const auto shape = read_integer_list(file, object, "shape");
  return shape && shape->size() == 2 ? (*shape)[1] : -1;
}

}  // namespace detail

/// Reads obsm/<key>. \throws FileError (STOFM-3526) another number of rows or columns, or no table of
/// numbers; DataError (STOFM-3536) text that is no number. Memory is taken once the lengths are known to be
/// real.
inline CoordinateTable read_coordinate_table(const Hdf5File& file, const std::string& path,
                                             std::int64_t cells, std::int64_t memory_limit) {
  const auto require_rows = [&](std::int64_t rows) {
    if (rows != cells)
      throw FileError({"STOFM-3526", file.path, path, concat(rows, " rows"),
                       concat(cells, ", the cells of obs"), "Write the file again with anndata."});
  };
  const Hdf5Object object = open_hdf5_object(file, path);
  if (object.kind == Hdf5Kind::group && read_encoding(file, object) == "dataframe") {
    const H5adFrame frame(file, path, memory_limit);
    require_rows(frame.length());
    return detail::read_coordinate_frame(file, frame);
  }
  const std::int64_t columns = detail::coordinate_columns(file, object);
  if (columns != 2 && columns != 3)
    throw FileError({"STOFM-3526", file.path, path,
                     columns < 0 ? "something that is not a table of numbers" : concat(columns, " columns"),
                     "2 or 3 columns of numbers", "Name another key with H5adReadOptions::spatial_key."});
  std::vector<double> values;
  if (object.kind == Hdf5Kind::dataset) {
    Hdf5Dataset data = open_hdf5_dataset(file, path);
    require_rows(data.dim(0));
    values = data.type().is_string() ? detail::numbers_of_text(data, memory_limit)
                                     : read_doubles(data, memory_limit);
  } else {
    require_rows((*read_integer_list(file, object, "shape"))[0]);
    H5adMatrix matrix(file, path, cells, columns, memory_limit);
    values.resize(static_cast<std::size_t>(checked_mul(cells, columns)));
    matrix.visit_rows(0, cells,
                      [&](std::int64_t row, std::span<const std::int64_t> index,
                          std::span<const double> entries, std::int64_t) {
                        for (std::size_t i = 0; i < entries.size(); ++i)
                          values[static_cast<std::size_t>(
                              row * columns + (index.empty() ? static_cast<std::int64_t>(i) : index[i]))] +=
                              entries[i];
                      });
  }
  CoordinateTable table;
  if (columns == 2) {
    table.xy = std::move(values);
    return table;
  }
  for (std::size_t i = 0; i + 2 < values.size(); i += 3) {
    table.xy.push_back(values[i]);
    table.xy.push_back(values[i + 1]);
    table.z.push_back(values[i + 2]);
  }
  return table;
}

}  // namespace stofm::io
