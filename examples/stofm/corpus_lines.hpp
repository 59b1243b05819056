// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a build of a corpus keeps on disk while it goes on: lines of slices, each safe before the next slice.

#include <filesystem>
#include <map>
#include <string>

#include "stofm/io/system_calls.hpp"
#include "stofm/train/manifest.hpp"

namespace stofm::program {

/// Lines of slices that earlier runs wrote into a folder: those of the manifest, and of builds that were
/// stopped (indexed-*.jsonl). Torn ones are left out: their slices are read again.
class KnownLines {
 public:
  KnownLines() = default;
  explicit KnownLines(const std::filesystem::path& folder);
  /// By ManifestSlice::file; nullptr: none.
  const train::ManifestSlice* find(const std::string& file) const;

 private:
  void read(const std::filesystem::path& path);
  std::map<std::string, train::ManifestSlice> lines_;
};

/// The files of builds that were stopped.
std::vector<std::filesystem::path> unfinished_lines(const std::filesystem::path& folder);

/// A file that grows by lines. Not for several threads at once.
class LineFile {
 public:
  /// Goes on with the file if it is there. \throws ResourceError; UsageError STOFM-3015 for a link
  explicit LineFile(const std::filesystem::path& path);
  /// Adds a line and syncs it: it is there whatever happens next. \throws ResourceError STOFM-5010, 5011
  void append(const std::string& line);

 private:
  std::string path_;
  io::detail::Descriptor file_;
};

/// SHA-256 over names, sizes and times of all files in and below a folder, first digits. Cost: one stat a
/// file
std::string folder_state(const std::filesystem::path& folder);

}  // namespace stofm::program
