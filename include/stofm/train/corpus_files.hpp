// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From what a user names (files, folders, patterns) to the list of slices of a corpus.

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::train {

namespace detail {

inline bool has_h5ad_ending(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return ending == ".h5ad";
}

/// .h5ad files of a folder, not below it. A result of `stofm embed` (x.stofm.h5ad) is left out where its
/// slice (x.h5ad) is there: its cells would count twice.
inline std::vector<std::filesystem::path> slices_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (has_h5ad_ending(entry->path()) && !std::filesystem::is_directory(entry->path()))
      files.push_back(entry->path());
  std::erase_if(files, [](const std::filesystem::path& file) {
    const std::filesystem::path slice = file.stem();  // x.stofm
    std::error_code ignored;
    return slice.extension() == ".stofm" &&
           std::filesystem::exists(file.parent_path() / (slice.stem().string() + file.extension().string()),
                                   ignored);
  });
  if (error)
    throw FileError({"STOFM-4541", folder.string(), "folder", error.message(), "a folder that can be read",
                     "Check its permissions."});
  return files;
}

inline std::vector<std::filesystem::path> matches_of(const std::string& pattern) {
  std::vector<std::filesystem::path> files;
  ::glob_t found{};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
    for (std::size_t i = 0; i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  return files;
}

}  // namespace detail

/// Files as given, the .h5ad files of folders, and what patterns ('data/*.h5ad') match; sorted by path, each
/// once. The order of the inputs does not matter. A file that is not there stays in the list: reading it is
/// what fails. \throws FileError for a folder that can not be read; UsageError for a folder, a pattern or a
/// list that gives none.
inline std::vector<std::filesystem::path> find_slices(const std::vector<std::string>& inputs) {
  std::vector<std::filesystem::path> files;
  const auto refuse = [](const std::string& what, const char* found) {
    throw UsageError({"STOFM-4540", what, "slices", found, "at least one .h5ad file",
                      "Name files, folders or patterns such as 'data/*.h5ad'."});
  };
  for (const std::string& input : inputs) {
    std::error_code ignored;
    std::vector<std::filesystem::path> more{input};
    if (std::filesystem::is_directory(input, ignored)) {
      more = detail::slices_in(input);
      if (more.empty()) refuse(input, "a folder without any");
    } else if (!std::filesystem::exists(input, ignored) && input.find_first_of("*?[") != std::string::npos) {
      more = detail::matches_of(input);
      if (more.empty()) refuse(input, "a pattern that matches nothing");
    }
    for (auto& path : more) files.push_back(path.lexically_normal());
  }
  if (files.empty()) refuse("", "no input");
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

}  // namespace stofm::train
