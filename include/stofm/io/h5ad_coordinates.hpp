// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the cells of an .h5ad file are: obsm["spatial"], another key of obsm, two columns of obs, or given
/// from outside.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/io/h5ad_matrix.hpp"
#include "stofm/io/h5ad_options.hpp"

namespace stofm::io {

/// Coordinates of all cells of the file, and which of them are usable.
struct H5adCoordinates {
  std::vector<double> xy;              ///< [2 * cells of the file], x and y of a cell side by side
  std::string source;                  ///< "obsm/spatial", "obs/x, obs/y", "given"
  std::vector<std::int64_t> bad_rows;  ///< rows with NaN or inf
};

namespace detail {

/// "a, b, c and 4 more"; every name quoted.
inline std::string name_list(const std::vector<std::string>& names, std::size_t most = 10) {
  std::string text;
  for (std::size_t i = 0; i < (std::min)(names.size(), most); ++i)
    text += (i > 0 ? ", " : "") + stofm::quoted(names[i], 60);
  if (names.size() > most) text += concat(" and ", names.size() - most, " more");
  return text.empty() ? "nothing" : text;
}

inline bool contains_spatial(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return c < 128 ? static_cast<char>(std::tolower(c)) : static_cast<char>(c);
  });
  return name.find("spatial") != std::string::npos;
}

/// Columns of an obsm entry: -1 if it is not a table of 2 or 3 columns of numbers, without reading it.
inline std::int64_t coordinate_columns(const Hdf5File& file, const std::string& path) {
  const Hdf5Object object = open_hdf5_object(file, path);
  if (object.kind == Hdf5Kind::dataset) {
    const Hdf5Dataset data = open_hdf5_dataset(file, path);
    return data.rank() == 2 && (data.type().is_number() || data.type().is_string()) ? data.dim(1) : -1;
  }
  if (object.kind != Hdf5Kind::group) return -1;
  const std::string encoding = read_encoding(file, object);
  if (encoding == "dataframe") {
    const auto order = read_string_list(file, object, "column-order");
    return order ? static_cast<std::int64_t>(order->size()) : -1;
  }
  const auto shape = read_integer_list(file, object, "shape");
  return shape && shape->size() == 2 ? (*shape)[1] : -1;
}

/// One column of text as numbers. \throws DataError with the row
inline std::vector<double> numbers_of_text(Hdf5Dataset& data, std::int64_t memory_limit) {
  data.require_holdable(data.element_size() + 32, memory_limit);
  if (data.type().kind != Hdf5Type::Kind::fixed_string)
    data.fail("STOFM-3536", "a table of variable strings", "numbers", "Write the coordinates as numbers.");
  std::vector<double> values(static_cast<std::size_t>(data.elements()));
  const auto width = static_cast<std::size_t>(data.element_size());
  std::string raw(values.size() * width, '\0');
  data.read_rows(0, data.dim(0), std::as_writable_bytes(std::span(raw)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string_view text = std::string_view(raw).substr(i * width, width);
    text = text.substr(0, text.find('\0'));
    if (!parse_number(text, values[i]))
      throw DataError({"STOFM-3536", data.file().path,
                       concat(data.where(), ", row ", static_cast<std::int64_t>(i) / data.dim(1)),
                       stofm::quoted(text, 60), "a number", "Write the coordinates as numbers."});
  }
  return values;
}

/// The obsm entry as [cells, columns], row-major.
inline std::vector<double> read_coordinate_table(const Hdf5File& file, const std::string& path,
                                                 std::int64_t cells, std::int64_t columns,
                                                 std::int64_t memory_limit) {
  const auto refuse_rows = [&](std::int64_t rows) {
    throw FileError({"STOFM-3526", file.path, path, concat(rows, " rows"),
                     concat(cells, ", the cells of obs"), "Write the file again with anndata."});
  };
  const Hdf5Object object = open_hdf5_object(file, path);
  if (object.kind == Hdf5Kind::dataset) {
    Hdf5Dataset data = open_hdf5_dataset(file, path);
    if (data.dim(0) != cells) refuse_rows(data.dim(0));
    return data.type().is_string() ? numbers_of_text(data, memory_limit) : read_doubles(data, memory_limit);
  }
  // Memory is taken once the lengths are known to be real.
  std::vector<double> table;
  const auto allocate = [&] { table.resize(static_cast<std::size_t>(checked_mul(cells, columns))); };
  if (read_encoding(file, object) == "dataframe") {
    const H5adFrame frame(file, path, memory_limit);
    if (frame.length() != cells) refuse_rows(frame.length());
    allocate();
    const std::vector<std::string> names = frame.columns();
    for (std::size_t c = 0; c < names.size(); ++c) {
      const std::vector<double> column = frame.numbers(names[c]);
      for (std::size_t i = 0; i < column.size(); ++i) table[i * names.size() + c] = column[i];
    }
    return table;
  }
  const auto shape = read_integer_list(file, object, "shape");
  if (shape && shape->size() == 2 && (*shape)[0] != cells) refuse_rows((*shape)[0]);
  H5adMatrix matrix(file, path, cells, columns, memory_limit);
  allocate();
  matrix.visit_rows(0, cells,
                    [&](std::int64_t row, std::span<const std::int64_t> index, std::span<const double> values,
                        std::int64_t) {
                      for (std::size_t i = 0; i < values.size(); ++i)
                        table[static_cast<std::size_t>(
                            row * columns + (index.empty() ? static_cast<std::int64_t>(i) : index[i]))] +=
                            values[i];
                    });
  return table;
}

/// Picks the obsm key. \throws DataError with what is there, and which option to use
inline std::string choose_spatial_key(const Hdf5File& file, const H5adFrame& obs,
                                      const H5adReadOptions& options, Notices& notices) {
  const Hdf5Object obsm = open_hdf5_object(file, "obsm");
  std::vector<std::string> keys;
  if (obsm.kind == Hdf5Kind::group) keys = hdf5_names(file, obsm);
  const std::string wanted = options.spatial_key.empty() ? "spatial" : options.spatial_key;
  if (std::find(keys.begin(), keys.end(), wanted) != keys.end()) return wanted;
  if (options.spatial_key.empty()) {
    for (const auto& key : keys) {
      if (!contains_spatial(key)) continue;
      const std::int64_t columns = coordinate_columns(file, "obsm/" + key);
      if (columns != 2 && columns != 3) continue;
      notices.push_back(
          {"STOFM-W3507",
           "coordinates are taken from obsm[" + stofm::quoted(key, 60) + "]: there is no obsm[\"spatial\"]",
           1});
      return key;
    }
  }
  std::vector<std::string> pairs;
  for (const auto& [x, y] :
       {std::pair{"x", "y"}, std::pair{"X", "Y"}, std::pair{"x_centroid", "y_centroid"},
        std::pair{"array_row", "array_col"}, std::pair{"CenterX_global_px", "CenterY_global_px"},
        std::pair{"center_x", "center_y"}, std::pair{"imagerow", "imagecol"}})
    if (obs.has(x) && obs.has(y)) pairs.push_back(concat("--x ", x, " --y ", y));
  std::string remedy = "Name the key with --spatial-key, or give a CSV with --coordinates.";
  if (!pairs.empty())
    remedy = "Use the columns of obs: " + pairs.front() + " (or name a key with --spatial-key).";
  throw DataError({"STOFM-3506", file.path, "obsm/" + wanted,
                   "nothing; obsm has " + name_list(keys) + ", obs has " + name_list(obs.columns(), 20),
                   "positions of the cells", remedy});
}

}  // namespace detail

/// Reads the coordinates as the options say. \throws DataError, FileError see the rows H07, H36, H37, D21
inline H5adCoordinates read_coordinates(const Hdf5File& file, const H5adFrame& obs,
                                        const H5adReadOptions& options, std::int64_t memory_limit,
                                        Notices& notices) {
  H5adCoordinates result;
  const std::int64_t cells = obs.length();
  const auto allocate = [&] { result.xy.resize(static_cast<std::size_t>(checked_mul(cells, 2))); };
  if (options.coordinates) {
    const Tensor<double>& given = *options.coordinates;
    if (given.rank() != 2 || given.dim(0) != cells || given.dim(1) != 2)
      throw DataError({"STOFM-3526", file.path, "the coordinates given", "shape " + to_string(given.shape()),
                       concat("[", cells, ", 2]"), "Give one position for each cell of the file."});
    allocate();
    for (std::int64_t i = 0; i < cells; ++i)
      for (std::int64_t c = 0; c < 2; ++c)
        result.xy[static_cast<std::size_t>(2 * i + c)] =
            given.data()[i * given.stride(0) + c * given.stride(1)];
    result.source = "given";
  } else if (!options.x_column.empty() || !options.y_column.empty()) {
    if (options.x_column.empty() || options.y_column.empty())
      throw UsageError(
          {"STOFM-3537", file.path, "obs", "one column of coordinates", "--x and --y", "Name both columns."});
    for (std::size_t c = 0; c < 2; ++c) {
      const std::string& name = c == 0 ? options.x_column : options.y_column;
      if (!obs.has(name))
        throw DataError({"STOFM-3506", file.path, "obs/" + name,
                         "nothing; obs has " + detail::name_list(obs.columns(), 20),
                         "a column of coordinates", "Name a column of obs with --x and --y."});
      const std::vector<double> column = obs.numbers(name);
      allocate();
      for (std::size_t i = 0; i < column.size(); ++i) result.xy[2 * i + c] = column[i];
    }
    result.source = "obs/" + options.x_column + ", obs/" + options.y_column;
  } else {
    const std::string key = detail::choose_spatial_key(file, obs, options, notices);
    result.source = "obsm/" + key;
    const std::int64_t columns = detail::coordinate_columns(file, result.source);
    if (columns != 2 && columns != 3)
      throw FileError({"STOFM-3526", file.path, result.source,
                       columns < 0 ? "something that is not a table of numbers" : concat(columns, " columns"),
                       "2 or 3 columns of numbers", "Name another key with --spatial-key."});
    const std::vector<double> table =
        detail::read_coordinate_table(file, result.source, cells, columns, memory_limit);
    allocate();
    for (std::int64_t i = 0; i < cells; ++i)
      for (std::int64_t c = 0; c < 2; ++c)
        result.xy[static_cast<std::size_t>(2 * i + c)] = table[static_cast<std::size_t>(i * columns + c)];
    if (columns == 3)
      notices.push_back({"STOFM-W3508",
                         "the third column of " + result.source + " is ignored: only x and y are used",
                         cells});
  }
  for (std::int64_t i = 0; i < cells; ++i)
    if (!std::isfinite(result.xy[static_cast<std::size_t>(2 * i)]) ||
        !std::isfinite(result.xy[static_cast<std::size_t>(2 * i + 1)]))
      result.bad_rows.push_back(i);
  if (result.bad_rows.empty()) return result;
  std::string rows;
  for (std::size_t i = 0; i < (std::min<std::size_t>)(10, result.bad_rows.size()); ++i)
    rows += (i > 0 ? ", " : "") + std::to_string(result.bad_rows[i]);
  const std::string found = concat(result.bad_rows.size(), " cells with NaN or infinite coordinates, rows ",
                                   rows, result.bad_rows.size() > 10 ? ", ..." : "");
  if (!options.drop_bad_coords)
    throw DataError({"STOFM-3531", file.path, result.source, found, "finite coordinates",
                     "Mend them, or leave these cells out with --drop-bad-coords."});
  notices.push_back({"STOFM-W3509", "left out: " + found, static_cast<std::int64_t>(result.bad_rows.size())});
  return result;
}

}  // namespace stofm::io
