// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a corpus is made of: slices found in folders, a table that says what the files do not, and the
/// manifest that training is given in place of files.

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "stofm/train/manifest.hpp"

namespace stofm::program {

/// A slice to be: an .h5ad, or the folder of an instrument.
struct CorpusSource {
  std::filesystem::path path;
  bool instrument = false;
};

/// What the table says of one slice; "": nothing.
struct CorpusTableRow {
  std::string file, donor, technology, species, tissue, licence;
  std::optional<train::CorpusPart> part;
  std::int64_t line = 0;
};

/// Reads --table: a CSV with a column `file` and any of donor, technology, species, split, tissue, licence.
/// \throws FileError as io::read_csv; UsageError STOFM-4582 for other columns or words
std::vector<CorpusTableRow> read_corpus_table(const std::string& path);

/// The row of each slice, or nullptr: by path (from the folder of the table, or from here), else by file name
/// or name of the slice where that is one slice's. \throws UsageError STOFM-4582 for a row that is no slice's
/// or that of several, and for two rows of one slice
std::vector<const CorpusTableRow*> rows_of(const std::vector<CorpusTableRow>& table,
                                           const std::string& table_path,
                                           const std::vector<CorpusSource>& sources);

/// Files as named, and all slices in and below folders: .h5ad files, and folders that an instrument wrote.
/// Results of `embed` beside their slices, hidden folders, links to folders and corpora are passed over.
/// Sorted by path, each once. \throws UsageError STOFM-4540, FileError
std::vector<CorpusSource> find_corpus_sources(const std::vector<std::string>& inputs);

/// What training reads.
struct TrainingSlices {
  std::vector<std::filesystem::path> files;
  bool of_corpus = false;
  std::set<std::string> held_out;  ///< of a corpus: paths of its validation slices
  std::shared_ptr<const train::KnownFiles> known;
};

/// The slices of the corpus that the inputs name, or nothing if they are files: its training slices, and
/// unless `validation` is "0" those of its validation split. Says how many are left out, and why. \throws
/// FileError as read_manifest; UsageError STOFM-2067 for another `validation`; DataError STOFM-4585 without a
/// slice to train on
std::optional<TrainingSlices> corpus_slices(const std::vector<std::string>& inputs,
                                            const std::string& validation);

}  // namespace stofm::program
