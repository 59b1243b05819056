// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which cells of a file lie in one slice: the column of obs that tells slices apart, or a word where one may
/// be.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_coordinates.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io::detail {

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

}  // namespace stofm::io::detail
