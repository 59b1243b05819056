// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One slice on its way into a manifest: imported if an instrument wrote it, read once, its fingerprints
/// kept.

#include <filesystem>
#include <optional>
#include <string>

#include "arguments.hpp"
#include "corpus_input.hpp"
#include "corpus_lines.hpp"
#include "stofm/pipeline/gene_table.hpp"
#include "stofm/train/corpus.hpp"
#include "stofm/train/index_slice.hpp"

namespace stofm::program {

/// Const members may be used from several threads.
class CorpusIndexer {
 public:
  /// \param folder of the corpus, absolute. \throws FileError STOFM-4336 and as GeneTable::parse for the
  /// bundle; UsageError for options that do not fit many slices
  CorpusIndexer(const CorpusArguments& arguments, std::filesystem::path folder);

  /// What a line calls this path: relative to the corpus where possible.
  std::string relative(const std::filesystem::path& path) const;
  /// The .h5ad of a source: itself, or where the output of an instrument is imported to.
  std::filesystem::path slice_of(const CorpusSource& source) const;
  /// Where the fingerprints of the cells of a slice are.
  std::filesystem::path fingerprint_path(const train::ManifestSlice& line) const;

  /// The line that is known, if the source, the genes and the options are still the same. Cost: one stat, or
  /// one reading of the file if its time has changed
  std::optional<train::ManifestSlice> known_line(const CorpusSource& source, const std::string& species,
                                                 const KnownLines& known) const;
  /// Imports and reads the slice, and writes its fingerprints. \param species of the table, or "". \throws as
  /// the reader, import_slice, index_slice
  train::ManifestSlice index(const CorpusSource& source, const std::string& species) const;

 private:
  std::string made_with(const std::string& species) const;
  train::IndexedSlice read(const std::filesystem::path& file, const std::string& species) const;

  const CorpusArguments& a_;
  std::filesystem::path folder_;
  pipeline::GeneTable genes_;
  pipeline::MouseMap mouse_;
  std::string vocabulary_;
  train::SliceReader reader_;
};

}  // namespace stofm::program
