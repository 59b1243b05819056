// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What is known of slices before they are read: SHA-256, and how many cells and tokens a gene vocabulary
/// finds in them. A manifest (train/manifest.hpp) knows it; a run that is given it need not read every file
/// to begin.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "stofm/io/file_identity.hpp"
#include "stofm/io/sha256.hpp"

namespace stofm::train {

/// One file in the state in which it was read.
struct KnownFile {
  std::int64_t bytes = 0, modified_ns = 0;  ///< what tells that it has changed since
  std::string sha256{};
  std::string vocabulary{};           ///< which genes `cells_with_genes` and `tokens` are counted by
  std::int64_t cells_with_genes = 0;  ///< cells with at least `fewest_genes` known genes
  std::int64_t tokens = 0;            ///< of these cells, <cls> included, not cut
};

/// Cells with fewer known genes are not adapted to, and say nothing about whether two slices are one.
inline constexpr std::int64_t fewest_genes = 5;

/// First digits of the SHA-256 of the gene tables of a bundle.
inline std::string vocabulary_hash(const std::string& gene_table, const std::string& mouse_to_human) {
  return io::sha256_hex(gene_table + "\n" + mouse_to_human).substr(0, 16);
}

/// Files by path. Const members may be used from several threads.
class KnownFiles {
 public:
  void add(const std::filesystem::path& path, KnownFile file) { files_[path.string()] = std::move(file); }

  /// The file if its size and the time of its last change are still those; else nullptr. *Cost* one stat.
  const KnownFile* find(const std::filesystem::path& path) const {
    const auto found = files_.find(path.string());
    if (found == files_.end()) return nullptr;
    const io::FileIdentity now = io::file_identity(path.string());
    const KnownFile& then = found->second;
    return now.known() && now.bytes == then.bytes && now.modified_ns == then.modified_ns ? &then : nullptr;
  }

 private:
  std::map<std::string, KnownFile> files_;
};

/// SHA-256 of a file, which is read only if it is not known. \p known may be null. \throws as io::sha256_file
inline std::string file_hash(const std::filesystem::path& path, const KnownFiles* known) {
  const KnownFile* file = known == nullptr ? nullptr : known->find(path);
  return file == nullptr ? io::sha256_file(path) : file->sha256;
}

}  // namespace stofm::train
