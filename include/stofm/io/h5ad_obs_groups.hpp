// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What an .h5ad file has that may tell sections apart, for the search of h5ad_overlap.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_coordinates.hpp"
#include "stofm/io/h5ad_library.hpp"

namespace stofm::io {

/// A column with 2 to 2,000 values (200 where they are fractions), or nothing; whatever is wrong with it is
/// not asked here. Columns with other values are mostly told by their first 4,096.
inline std::optional<detail::CellGroups> few_valued_column(const Hdf5File& file, const H5adFrame& obs,
                                                           const std::string& column) {
  constexpr std::size_t most = 2000, most_reals = 200;
  std::optional<detail::CellGroups> groups;
  try {
    const Hdf5Object object = open_hdf5_object(file, obs.path() + "/" + column);
    const bool legacy =
        open_hdf5_object(file, obs.path() + "/__categories/" + column).kind == Hdf5Kind::dataset;
    if (object.kind == Hdf5Kind::dataset && !legacy) {
      Hdf5Dataset data = open_hdf5_dataset(file, object.path);
      if (data.rank() != 1 || data.dim(0) != obs.length()) return std::nullopt;
      if (data.type().is_number()) {
        const std::size_t limit = data.type().is_integer() ? most : most_reals;
        std::vector<double> head(static_cast<std::size_t>((std::min<std::int64_t>)(data.dim(0), 4096)));
        std::vector<std::byte> raw(head.size() * data.type().size);
        data.read_rows(0, static_cast<std::int64_t>(head.size()), raw);
        convert_to_double(data.type(), raw.data(), head);
        if (!detail::groups_of_values(column, head, limit)) return std::nullopt;
        groups = detail::groups_of_values(column, obs.numbers(column), limit);
      } else {
        groups = detail::groups_of_values(column, obs.strings(column), most);
        if (groups) groups->text = true;
      }
    } else if (object.kind != Hdf5Kind::absent) {
      groups = detail::groups_of(column, obs.categorical(column));
      groups->text = legacy || read_encoding(file, object) == "categorical";
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::resource) throw;
    return std::nullopt;
  }
  if (!groups || groups->names.size() > most) return std::nullopt;
  return groups;
}

/// Names of the libraries in uns["spatial"].
inline std::vector<std::string> spatial_libraries(const Hdf5File& file) {
  std::vector<std::string> names;
  try {
    const Hdf5Object group = open_hdf5_object(file, "uns/spatial");
    if (group.kind != Hdf5Kind::group) return names;
    for (auto& name : hdf5_names(file, group, 2000))
      if (open_hdf5_object(file, "uns/spatial/" + name).kind == Hdf5Kind::group)
        names.push_back(std::move(name));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::resource) throw;
    names.clear();  // uns is the user's own
  }
  return names;
}

}  // namespace stofm::io
