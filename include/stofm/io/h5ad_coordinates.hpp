// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the cells of an .h5ad file are: an entry of obsm, two columns of obs, or given from outside.
///
/// Without options: obsm["spatial"], else the key that looks most like it, else the columns of obs, if there
/// is no doubt which. What was used is in Slice::coordinates_source, and a notice says so where it was not
/// obsm["spatial"].

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_coordinate_table.hpp"
#include "stofm/io/h5ad_options.hpp"
#include "stofm/io/h5ad_positions.hpp"

namespace stofm::io {

namespace detail {

/// Keys of obsm that may hold positions, the best first.
inline std::vector<std::string> spatial_keys(const Hdf5File& file) {
  const Hdf5Object obsm = open_hdf5_object(file, "obsm");
  std::vector<std::string> keys;
  if (obsm.kind == Hdf5Kind::group)
    for (auto& key : hdf5_names(file, obsm))
      if (spatial_key_rank(key) > 0) keys.push_back(std::move(key));
  std::stable_sort(keys.begin(), keys.end(), [](const std::string& a, const std::string& b) {
    return spatial_key_rank(a) > spatial_key_rank(b);
  });
  return keys;
}

/// Two columns of obs, side by side; nothing if they are no numbers or no places.
inline std::optional<std::vector<double>> pair_of_obs(const H5adFrame& obs, const CoordinatePair& pair) {
  const auto x = numbers_if_any(obs, pair.x);
  const auto y = x ? numbers_if_any(obs, pair.y) : std::nullopt;
  if (!x || !y) return std::nullopt;
  std::vector<double> xy(2 * x->size());
  for (std::size_t i = 0; i < x->size(); ++i) xy[2 * i] = (*x)[i], xy[2 * i + 1] = (*y)[i];
  if (!are_places(xy)) return std::nullopt;
  return xy;
}

/// The same places in another unit, from another corner, mirrored or with the axes exchanged: the model,
/// which sees distances only, can not tell them apart. To 1e-3 of the extent: tables are rounded.
inline bool are_same_places(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size() || a.size() < 6) return a == b;
  double low[2], high[2];
  std::size_t at_low[2]{}, at_high[2]{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    low[axis] = high[axis] = a[axis];
    for (std::size_t i = axis; i < a.size(); i += 2) {
      if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return false;
      if (a[i] < low[axis]) low[axis] = a[i], at_low[axis] = i - axis;
      if (a[i] > high[axis]) high[axis] = a[i], at_high[axis] = i - axis;
    }
  }
  for (const std::size_t turn : {0U, 1U}) {
    double scale[2];
    bool fits = true;
    for (std::size_t axis = 0; axis < 2 && fits; ++axis) {
      const std::size_t other = axis ^ turn;
      fits = high[axis] > low[axis];
      scale[axis] =
          fits ? (b[at_high[axis] + other] - b[at_low[axis] + other]) / (high[axis] - low[axis]) : 0;
      const double extent = std::abs(scale[axis]) * (high[axis] - low[axis]);
      for (std::size_t i = 0; i + 1 < a.size() && fits; i += 2)
        fits = std::abs(b[at_low[axis] + other] + scale[axis] * (a[i + axis] - low[axis]) - b[i + other]) <=
               1e-3 * extent;
    }
    if (fits && std::abs(std::abs(scale[0]) - std::abs(scale[1])) <=
                    5e-3 * (std::max)(std::abs(scale[0]), std::abs(scale[1])))
      return true;
  }
  return false;
}

/// Rows and columns of a hexagonal array (Visium: row and column are both even or both odd) become places
/// with neighbours equally far in all six directions. \return whether it is one
inline bool straighten_hexagons(std::vector<double>& xy) {
  bool odd = false;
  for (std::size_t i = 0; i + 1 < xy.size(); i += 2) {
    if (!std::isfinite(xy[i]) || !std::isfinite(xy[i + 1])) continue;
    if (xy[i] != std::floor(xy[i]) || xy[i + 1] != std::floor(xy[i + 1]) || std::abs(xy[i]) > 1e9 ||
        std::abs(xy[i + 1]) > 1e9)
      return false;
    const auto x = static_cast<std::int64_t>(xy[i]), y = static_cast<std::int64_t>(xy[i + 1]);
    if ((x + y) % 2 != 0) return false;
    odd = odd || x % 2 != 0;
  }
  if (!odd) return false;
  for (std::size_t i = 1; i < xy.size(); i += 2) xy[i] *= std::sqrt(3.0);
  return true;
}

/// Columns of obs where obsm has nothing. \throws DataError (STOFM-3506) none, or no telling which
inline void take_places_from_obs(const Hdf5File& file, const H5adFrame& obs, const std::string& wanted,
                                 H5adCoordinates& result, Notices& notices) {
  const std::vector<CoordinatePair> pairs = find_coordinate_pairs(obs.columns());
  std::vector<CoordinatePair> usable;
  std::vector<double> first;
  bool one = true;
  for (const CoordinatePair& pair : pairs) {
    auto xy = pair_of_obs(obs, pair);
    if (!xy) continue;
    if (usable.empty())
      first = *std::move(xy);
    else if (pair.kind == usable.front().kind && pair.kind >= PlaceKind::plain)
      one = one && are_same_places(first, *xy);
    usable.push_back(pair);
  }
  if (wanted.empty() && !usable.empty() && usable.front().kind >= PlaceKind::plain && one) {
    const CoordinatePair& pair = usable.front();
    result.xy = std::move(first);
    result.source = "obs/" + pair.x + ", obs/" + pair.y;
    notices.push_back({"STOFM-W3507",
                       concat("positions are taken from obs[", stofm::quoted(pair.x, 60), "], obs[",
                              stofm::quoted(pair.y, 60), "]: obsm has none"),
                       1});
    return;
  }
  std::string choices;
  for (std::size_t i = 0; i < (std::min<std::size_t>)(usable.size(), 4); ++i)
    choices += concat(i == 0 ? "" : ", or ", "H5adReadOptions::x_column = ", usable[i].x,
                      " and H5adReadOptions::y_column = ", usable[i].y,
                      usable[i].kind == PlaceKind::array ? " (of the array, not a length)" : "");
  const Hdf5Object obsm = open_hdf5_object(file, "obsm");
  const std::vector<std::string> keys =
      obsm.kind == Hdf5Kind::group ? hdf5_names(file, obsm) : std::vector<std::string>();
  throw DataError({"STOFM-3506", file.path, "obsm/" + (wanted.empty() ? std::string("spatial") : wanted),
                   "nothing; obsm has " + name_list(keys) + ", obs has " + name_list(obs.columns(), 20),
                   "positions of the cells",
                   choices.empty() ? "Name the key with H5adReadOptions::spatial_key, two columns of obs "
                                     "with H5adReadOptions::x_column and H5adReadOptions::y_column, or "
                                     "give a table of positions (H5adReadOptions::coordinates)."
                                   : "Use the columns of obs: " + choices +
                                         "; or name a key with H5adReadOptions::spatial_key."});
}

/// Without options: see the brief of the file.
inline void find_places(const Hdf5File& file, const H5adFrame& obs, const H5adReadOptions& options,
                        std::int64_t memory_limit, H5adCoordinates& result, Notices& notices) {
  const auto use = [&](const std::string& key) {
    CoordinateTable table = read_coordinate_table(file, "obsm/" + key, obs.length(), memory_limit);
    result.source = "obsm/" + key + (table.columns.empty() ? "" : " (" + table.columns + ")");
    result.xy = std::move(table.xy);
    result.z = std::move(table.z);
  };
  const auto absent = [&file](const std::string& key) {
    return key.find('/') != std::string::npos ||
           open_hdf5_object(file, "obsm/" + key).kind == Hdf5Kind::absent;
  };
  const std::string& wanted = options.spatial_key;
  if (!wanted.empty()) {
    if (absent(wanted)) take_places_from_obs(file, obs, wanted, result, notices);
    use(wanted);
    return;
  }
  const std::vector<std::string> keys = spatial_keys(file);
  if (!keys.empty() && keys.front() == "spatial") return use("spatial");
  for (const std::string& key : keys) {
    try {
      use(key);
    } catch (const Error&) {
      if (&key == &keys.back() && keys.size() == 1) throw;
      continue;  // another key may be better
    }
    if (keys.size() > 1 && !are_places(result.xy)) continue;
    std::string others;
    for (const std::string& other : keys)
      if (other != key) others += (others.empty() ? "; also there: " : ", ") + stofm::quoted(other, 60);
    notices.push_back(
        {"STOFM-W3507",
         concat("positions are taken from obsm[", stofm::quoted(key, 60), "]: there is no obsm[\"spatial\"]",
                others, others.empty() ? "" : " (H5adReadOptions::spatial_key names another)"),
         1});
    return;
  }
  result.z.clear();
  take_places_from_obs(file, obs, "", result, notices);
}

/// The columns that --x and --y name. \throws UsageError, DataError, FileError
inline void take_named_columns(const Hdf5File& file, const H5adFrame& obs, const H5adReadOptions& options,
                               H5adCoordinates& result, Notices& notices) {
  if (options.x_column.empty() || options.y_column.empty())
    throw UsageError({"STOFM-3537", file.path, "obs", "one column of coordinates",
                      "H5adReadOptions::x_column and H5adReadOptions::y_column", "Name both columns."});
  for (std::size_t c = 0; c < 2; ++c) {
    const std::string& name = c == 0 ? options.x_column : options.y_column;
    if (!obs.has(name))
      throw DataError({"STOFM-3506", file.path, "obs/" + name,
                       "nothing; obs has " + name_list(obs.columns(), 20), "a column of coordinates",
                       "Name a column of obs with H5adReadOptions::x_column and H5adReadOptions::y_column."});
    const std::vector<double> column = obs.numbers(name);
    result.xy.resize(2 * column.size());
    for (std::size_t i = 0; i < column.size(); ++i) result.xy[2 * i + c] = column[i];
  }
  result.source = "obs/" + options.x_column + ", obs/" + options.y_column;
  if (place_kind(lower_case(options.x_column), true) == PlaceKind::array &&
      place_kind(lower_case(options.y_column), true) == PlaceKind::array) {
    const auto is_row = [](const std::string& name) {
      return lower_case(name).find("row") != std::string::npos;
    };
    const bool swapped = is_row(options.x_column) && !is_row(options.y_column);
    if (swapped)  // the model sees distances only: which axis is called x makes no difference
      for (std::size_t i = 0; i + 1 < result.xy.size(); i += 2) std::swap(result.xy[i], result.xy[i + 1]);
    if (straighten_hexagons(result.xy))
      notices.push_back({"STOFM-W3523",
                         concat(result.source,
                                " are a hexagonal array: rows are taken 1.73 times as far "
                                "apart as columns, as on the slide"),
                         obs.length()});
  }
}

}  // namespace detail

/// Other places in the file than those of `source`, with the options that name them; rows and columns of an
/// array are not among them. Reads them all: for messages.
inline std::vector<detail::OtherPlaces> other_places(const Hdf5File& file, const H5adFrame& obs,
                                                     const std::string& source, std::int64_t memory_limit) {
  std::vector<detail::OtherPlaces> others;
  const auto add = [&others](std::string option, std::vector<double> xy) {
    if (detail::are_places(xy) &&
        std::all_of(xy.begin(), xy.end(), [](double value) { return std::isfinite(value); }))
      others.push_back({std::move(option), std::move(xy)});
  };
  for (const std::string& key : detail::spatial_keys(file)) {
    if (source.starts_with("obsm/" + key + " ") || source == "obsm/" + key) continue;
    try {
      add("H5adReadOptions::spatial_key = " + key,
          read_coordinate_table(file, "obsm/" + key, obs.length(), memory_limit).xy);
    } catch (const Error&) {
      continue;  // not asked for
    }
  }
  for (const CoordinatePair& pair : find_coordinate_pairs(obs.columns()))
    if (pair.kind >= PlaceKind::plain && source != "obs/" + pair.x + ", obs/" + pair.y)
      if (auto xy = detail::pair_of_obs(obs, pair))
        add("H5adReadOptions::x_column = " + pair.x + " and H5adReadOptions::y_column = " + pair.y,
            *std::move(xy));
  return others;
}

/// Reads the coordinates as the options say. \throws DataError, FileError see the rows H07, H36, H37, D21.
/// `asked_for`: rows that matter, one flag each (empty: all); what is not finite elsewhere is let be. Where
/// positions are not required, none (an empty source, zeros) is an answer, too.
inline H5adCoordinates read_coordinates(const Hdf5File& file, const H5adFrame& obs,
                                        const H5adReadOptions& options, const std::vector<char>& asked_for,
                                        std::int64_t memory_limit, Notices& notices) {
  H5adCoordinates result;
  const std::int64_t cells = obs.length();
  const bool named = options.coordinates || !options.x_column.empty() || !options.y_column.empty() ||
                     !options.spatial_key.empty();
  if (options.coordinates) {
    const Tensor<double>& given = *options.coordinates;
    if (given.rank() != 2 || given.dim(0) != cells || given.dim(1) != 2)
      throw DataError({"STOFM-3526", file.path, "the coordinates given", "shape " + to_string(given.shape()),
                       concat("[", cells, ", 2]"), "Give one position for each cell of the file."});
    result.xy.resize(static_cast<std::size_t>(checked_mul(cells, 2)));
    for (std::int64_t i = 0; i < cells; ++i)
      for (std::int64_t c = 0; c < 2; ++c)
        result.xy[static_cast<std::size_t>(2 * i + c)] =
            given.data()[i * given.stride(0) + c * given.stride(1)];
    result.source = "given";
  } else if (!options.x_column.empty() || !options.y_column.empty()) {
    detail::take_named_columns(file, obs, options, result, notices);
  } else if (options.positions_required || named) {
    detail::find_places(file, obs, options, memory_limit, result, notices);
  } else {
    try {
      Notices unheard;
      detail::find_places(file, obs, options, memory_limit, result, unheard);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::resource) throw;
      result = {};
    }
  }
  const bool z_is_used = (options.library_key == "z" && !obs.has("z")) ||
                         options.library_key.find("obsm:z") != std::string::npos;
  if (!result.z.empty() && options.positions_required && !z_is_used)
    notices.push_back({"STOFM-W3508",
                       "the third column of " + result.source + " is ignored: only x and y are used", cells});
  for (std::size_t i = 0; i + 1 < result.xy.size(); i += 2)
    if ((asked_for.empty() || asked_for[i / 2] != 0) &&
        (!std::isfinite(result.xy[i]) || !std::isfinite(result.xy[i + 1])))
      result.bad_rows.push_back(static_cast<std::int64_t>(i / 2));
  if (!options.positions_required && !named && !options.drop_bad_coords && !result.bad_rows.empty())
    result = {};
  if (result.source.empty()) {
    result.xy.assign(static_cast<std::size_t>(checked_mul(cells, 2)), 0.0);
    return result;
  }
  if (result.bad_rows.empty()) return result;
  const std::string found = detail::bad_rows_text(result.bad_rows);
  if (!options.drop_bad_coords)
    throw DataError({"STOFM-3531", file.path, result.source, found, "finite coordinates",
                     "Mend them, or leave these cells out with H5adReadOptions::drop_bad_coords."});
  notices.push_back(
      {"STOFM-W3509",
       "left out: " + found + "; their rows of the result are NaN, obs[\"stofm_embedded\"] marks the others",
       static_cast<std::int64_t>(result.bad_rows.size())});
  return result;
}

}  // namespace stofm::io
