// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Columns of obs as groups of cells, and the one that tells the slices of a file apart (--library-key).
/// `obs` is an H5adFrame or a MemoryFrame; no libhdf5 here.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_options.hpp"
#include "stofm/io/h5ad_positions.hpp"
#include "stofm/io/h5ad_rows.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io::detail {

/// Cells by the values of a column.
struct CellGroups {
  std::string name;                ///< `obs["batch"]`, in messages
  std::string key;                 ///< what --library-key takes
  std::vector<std::int32_t> code;  ///< [cells of the file] index into `names`, -1: missing
  std::vector<std::string> names;
  bool text = false;  ///< names, not numbers
};

inline CellGroups groups_of(const std::string& key, H5adCategorical groups) {
  CellGroups result;
  result.name = "obs[" + stofm::quoted(key, 60) + "]";
  result.key = key;
  result.names = std::move(groups.categories);
  std::vector<char> missing;
  for (const std::string& name : result.names) missing.push_back(is_missing_label(name) ? 1 : 0);
  for (const std::int64_t code : groups.codes)
    result.code.push_back(
        code < 0 || missing[static_cast<std::size_t>(code)] != 0 ? -1 : static_cast<std::int32_t>(code));
  return result;
}

/// Distinct values as groups; nothing if there are more than `most`.
template <class T>
std::optional<CellGroups> groups_of_values(const std::string& key, const std::vector<T>& values,
                                           std::size_t most) {
  H5adCategorical groups;
  std::unordered_map<T, std::int64_t> seen;
  for (const T& value : values) {
    if constexpr (std::is_same_v<T, double>) {
      if (std::isnan(value)) {
        groups.codes.push_back(-1);
        continue;
      }
    }
    const auto [place, fresh] = seen.emplace(value, static_cast<std::int64_t>(seen.size()));
    if (fresh) {
      if (seen.size() > most) return std::nullopt;
      groups.categories.push_back(concat(value));
    }
    groups.codes.push_back(place->second);
  }
  return groups_of(key, std::move(groups));
}

/// What a part of the names of the cells says: index:suffix behind the last - or _ (AAAC-1, as cellranger and
/// anndata.concat number libraries), index:prefix before the first (s1_AAAC), index:letters before the first
/// digit (A17). Nothing for another key or more than 2,000 values.
inline std::optional<CellGroups> groups_of_names(const std::string& key, std::vector<std::string> names) {
  if (key != "index:suffix" && key != "index:prefix" && key != "index:letters") return std::nullopt;
  for (std::string& name : names) {
    const std::size_t at = key == "index:suffix"   ? name.find_last_of("-_")
                           : key == "index:prefix" ? name.find_first_of("-_")
                                                   : name.find_first_of("0123456789");
    if (at == std::string::npos)
      name.clear();
    else if (key == "index:suffix")
      name.erase(0, at + 1);
    else
      name.resize(at);
  }
  auto groups = groups_of_values(key, names, 2000);
  if (!groups) return std::nullopt;
  groups->name = "the names of the cells (" + key + ")";
  groups->text = true;
  return groups;
}

/// The third column of the positions as groups, if it has few values: levels of a stack. --library-key z
/// names it, or obsm:z where obs has a column z.
template <class Frame>
std::optional<CellGroups> groups_of_z(const Frame& obs, const H5adCoordinates& positions) {
  if (positions.z.empty()) return std::nullopt;
  auto groups = groups_of_values("z", positions.z, 200);
  if (!groups) return std::nullopt;
  groups->name = "the third column of " + positions.source;
  groups->key = obs.has("z") ? "obsm:z" : "z";
  return groups;
}

/// Groups of one name of --library-key. \throws UsageError (STOFM-3538) there is none
template <class File, class Frame>
CellGroups groups_of_key(const File& file, const Frame& obs, const std::string& key,
                         const H5adCoordinates& positions) {
  if (obs.has(key)) return groups_of(key, obs.categorical(key));
  if (key == "z" || key == "obsm:z")
    if (auto groups = groups_of_z(obs, positions)) return *std::move(groups);
  if (key.starts_with("index:"))
    if (auto groups = groups_of_names(key, obs.strings(obs.index()))) return *std::move(groups);
  throw UsageError({"STOFM-3538", file.path, "obs/" + key, "nothing; obs has " + name_list(obs.columns(), 20),
                    "the column of the slices", "Name a column of obs with H5adReadOptions::library_key."});
}

/// Row D28: fills Slice::library and library_names for all rows of the file. `key`: a column of obs, or
/// several with commas between them, whose combinations are the slices; see groups_of_z and groups_of_names
/// for others. A row of `kept` (empty: all) without a value is refused, however it was written, or taken out
/// of `kept`. \throws UsageError (STOFM-3538), DataError (STOFM-3561)
template <class File, class Frame>
void read_library(const File& file, const Frame& obs, const H5adReadOptions& options,
                  const H5adCoordinates& positions, std::vector<char>& kept, Slice& slice) {
  const std::string& key = options.library_key;
  if (key.empty()) return;
  CellGroups groups;
  if (obs.has(key) || key.find(',') == std::string::npos) {
    groups = groups_of_key(file, obs, key, positions);
  } else {
    for (std::size_t begin = 0; begin <= key.size();) {
      const std::size_t end = (std::min)(key.find(',', begin), key.size());
      CellGroups more = groups_of_key(file, obs, key.substr(begin, end - begin), positions);
      begin = end + 1;
      if (groups.code.empty()) {
        groups = std::move(more);
        continue;
      }
      std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> seen;
      CellGroups both;
      both.name = groups.name + " and " + more.name;
      for (std::size_t i = 0; i < groups.code.size(); ++i) {
        const std::int32_t a = groups.code[i], b = more.code[i];
        if (a < 0 || b < 0) {
          both.code.push_back(-1);
          continue;
        }
        const auto [place, fresh] = seen.emplace(std::pair(a, b), static_cast<std::int32_t>(seen.size()));
        if (fresh)
          both.names.push_back(groups.names[static_cast<std::size_t>(a)] + ", " +
                               more.names[static_cast<std::size_t>(b)]);
        both.code.push_back(place->second);
      }
      groups = std::move(both);
    }
  }
  std::int64_t missing = 0;
  std::string rows;
  for (std::size_t i = 0; i < groups.code.size(); ++i) {
    if (groups.code[i] >= 0 || (!kept.empty() && kept[i] == 0)) continue;
    if (++missing <= 10) rows += concat(missing > 1 ? ", " : "", i);
  }
  const std::string found = concat("no value for ", missing, missing == 1 ? " cell, row " : " cells, rows ",
                                   rows, missing > 10 ? ", ..." : "");
  if (missing > 0 && !options.drop_no_library)
    throw DataError({"STOFM-3561", file.path, groups.name, found, "the slice of every cell",
                     "Mend them, or leave these cells out with H5adReadOptions::drop_no_library."});
  if (missing > 0) {
    if (kept.empty()) kept.assign(groups.code.size(), 1);
    for (std::size_t i = 0; i < kept.size(); ++i)
      if (groups.code[i] < 0) kept[i] = 0;
    slice.notices.push_back({"STOFM-W3524",
                             concat("left out: ", groups.name, " has ", found,
                                    "; their rows of the result are NaN, obs[\"stofm_embedded\"] marks the "
                                    "others"),
                             missing});
  }
  slice.library = std::move(groups.code);
  slice.library_names = std::move(groups.names);
}

}  // namespace stofm::io::detail
