// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The entries of a folder by the ends of their names: before these, names of samples may stand.

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::io::detail {

/// Files and folders in a folder whose names end in one of `endings`, sorted.
inline std::vector<std::filesystem::path> entries_ending(const std::filesystem::path& folder,
                                                         std::initializer_list<std::string_view> endings) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  int looked_at = 0;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (++looked_at > 100000) break;
    const std::string name = entry->path().filename().string();
    if (name.starts_with("._")) continue;  // what macOS leaves beside files
    for (const std::string_view ending : endings)
      if (name.ends_with(ending)) {
        found.push_back(entry->path());
        break;
      }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// The one of these. \throws FileError (STOFM-3902) if there are several
inline std::filesystem::path only_one(const std::vector<std::filesystem::path>& found,
                                      const std::filesystem::path& folder) {
  if (found.size() < 2) return found.empty() ? std::filesystem::path() : found.front();
  throw FileError({"STOFM-3902", folder.string(), "",
                   concat("more than one: ", stofm::quoted(found[0].filename().string(), 80), " and ",
                          stofm::quoted(found[1].filename().string(), 80)),
                   "the files of one sample",
                   "Put each sample into a folder of its own, or give the file itself."});
}

}  // namespace stofm::io::detail
