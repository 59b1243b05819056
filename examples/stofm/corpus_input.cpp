// SPDX-License-Identifier: MIT
#include "corpus_input.hpp"

#include <algorithm>

#include "console.hpp"
#include "import_input.hpp"
#include "output_plan.hpp"
#include "stofm/io/csv.hpp"
#include "stofm/train/corpus_files.hpp"
#include "stofm/train/data_split.hpp"

namespace stofm::program {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_table(const std::string& file, std::int64_t line, std::string found,
                               std::string expected, std::string remedy) {
  throw UsageError(
      {"STOFM-4582", file, concat("line ", line), std::move(found), std::move(expected), std::move(remedy)});
}

/// Slices in and below a folder.
void walk_corpus_folder(const fs::path& folder, std::vector<CorpusSource>& found) {
  std::error_code error;
  if (is_instrument_output(folder.string())) {
    found.push_back({whole_path(folder.string()), true});
    return;
  }
  for (const fs::path& file : train::detail::slices_in(folder))
    found.push_back({whole_path(file.string()), false});
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_directory(ignored) || entry->is_symlink(ignored)) continue;
    if (entry->path().filename().string().starts_with('.')) continue;
    if (train::manifest_of(entry->path()).empty() && !fs::exists(entry->path() / "corpus.lock", ignored))
      walk_corpus_folder(entry->path(), found);
  }
  if (error)
    throw FileError({"STOFM-4541", folder.string(), "folder", error.message(), "a folder that can be read",
                     "Check its permissions."});
}

}  // namespace

std::vector<CorpusSource> find_corpus_sources(const std::vector<std::string>& inputs) {
  std::vector<CorpusSource> sources;
  for (const std::string& input : inputs) {
    std::error_code ignored;
    const std::size_t before = sources.size();
    if (!fs::is_directory(input, ignored)) {
      sources.push_back({whole_path(input), false});
      continue;
    }
    walk_corpus_folder(input, sources);
    if (sources.size() == before)
      throw UsageError({"STOFM-4540", input, "slices", "a folder without any", "at least one .h5ad file",
                        "Name files, folders or patterns such as 'data/*.h5ad'."});
  }
  const auto by_path = [](const CorpusSource& a, const CorpusSource& b) { return a.path < b.path; };
  std::sort(sources.begin(), sources.end(), by_path);
  sources.erase(std::unique(sources.begin(), sources.end(),
                            [](const CorpusSource& a, const CorpusSource& b) { return a.path == b.path; }),
                sources.end());
  return sources;
}

std::vector<CorpusTableRow> read_corpus_table(const std::string& path) {
  const io::CsvTable table = io::read_csv(path);
  struct Column {
    const char* name;
    std::string CorpusTableRow::*text;
    std::int64_t at = -1;
  };
  std::vector<Column> columns{{"file", &CorpusTableRow::file},
                              {"donor", &CorpusTableRow::donor},
                              {"technology", &CorpusTableRow::technology},
                              {"species", &CorpusTableRow::species},
                              {"tissue", &CorpusTableRow::tissue},
                              {"licence", &CorpusTableRow::licence}};
  std::int64_t split = -1;
  for (std::int64_t c = 0; c < table.columns(); ++c) {
    const auto known = std::find_if(columns.begin(), columns.end(),
                                    [&](const Column& column) { return column.name == table.header(c); });
    if (known != columns.end())
      known->at = c;
    else if (table.header(c) == "split")
      split = c;
    else
      refuse_table(path, 1, "a column " + stofm::quoted(table.header(c), 40),
                   "file, donor, technology, species, split, tissue, licence", "Leave it out, or rename it.");
  }
  (void)table.column("file");
  std::vector<CorpusTableRow> rows;
  for (std::int64_t r = 0; r < table.rows(); ++r) {
    CorpusTableRow& row = rows.emplace_back();
    row.line = table.line(r);
    for (const Column& column : columns)
      if (column.at >= 0) row.*column.text = std::string(table.at(r, column.at));
    if (!row.species.empty() && row.species != "human" && row.species != "mouse")
      refuse_table(path, row.line, "species " + stofm::quoted(row.species, 40), "human, mouse or nothing",
                   "Map the genes of other species first.");
    const std::string word(split < 0 ? std::string_view() : table.at(r, split));
    const auto part = std::find(train::corpus_part_words.begin(), train::corpus_part_words.end(), word);
    if (part != train::corpus_part_words.end())
      row.part = static_cast<train::CorpusPart>(part - train::corpus_part_words.begin());
    else if (!word.empty())
      refuse_table(path, row.line, "split " + stofm::quoted(word, 40), "train, validation, test or nothing",
                   "Use one of these words.");
  }
  return rows;
}

std::vector<const CorpusTableRow*> rows_of(const std::vector<CorpusTableRow>& table,
                                           const std::string& table_path,
                                           const std::vector<CorpusSource>& sources) {
  std::map<fs::path, std::vector<std::size_t>> paths, names;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const fs::path& path = sources[i].path;
    paths[path].push_back(i);
    names[path.filename()].push_back(i);
    if (train::slice_name(path) != path.filename()) names[train::slice_name(path)].push_back(i);
  }
  std::vector<const CorpusTableRow*> found(sources.size(), nullptr);
  for (const CorpusTableRow& row : table) {
    std::vector<std::size_t> which;
    for (const fs::path& at : {fs::path(table_path).parent_path() / row.file, fs::path(row.file)})
      if (const fs::path there = whole_path(at.string()); which.empty() && paths.contains(there))
        which = paths[there];
    if (which.empty() && names.contains(row.file)) which = names[row.file];
    if (which.size() != 1)
      refuse_table(
          table_path, row.line, concat(stofm::quoted(row.file, 100), ", which is ", which.size(), " slices"),
          "the path or the name of one slice of the corpus", "Give its path from the table's folder.");
    if (found[which.front()] != nullptr)
      refuse_table(table_path, row.line, concat("the slice of line ", found[which.front()]->line, " again"),
                   "one line a slice", "Leave one of them out.");
    found[which.front()] = &row;
  }
  return found;
}

std::optional<TrainingSlices> corpus_slices(const std::vector<std::string>& inputs,
                                            const std::string& validation) {
  const fs::path path = inputs.size() == 1 ? train::manifest_of(inputs.front()) : fs::path();
  if (path.empty()) return std::nullopt;
  if (!validation.empty() && validation != "0")
    throw UsageError({"STOFM-2067", path.string(), "--validation", stofm::quoted(validation, 60),
                      "0 or nothing: a corpus has its own validation slices",
                      "Leave --validation out, or split the corpus anew with `stofm corpus build`."});
  const train::Manifest manifest = train::read_manifest(path);
  TrainingSlices slices;
  slices.of_corpus = true;
  slices.known = std::make_shared<train::KnownFiles>(manifest.known_files());
  std::int64_t training = 0, excluded = 0, duplicates = 0, test = 0;
  for (const train::ManifestSlice& s : manifest.slices) {
    excluded += !s.excluded.empty();
    duplicates += s.excluded.empty() && !s.duplicate_of.empty();
    if (!s.used()) continue;
    test += s.part == train::CorpusPart::test;
    if (s.part == train::CorpusPart::test) continue;
    if (s.part == train::CorpusPart::validation && validation == "0") continue;
    const fs::path file = manifest.path_of(s.file);
    slices.files.push_back(file);
    training += s.part == train::CorpusPart::training;
    if (s.part == train::CorpusPart::validation) slices.held_out.insert(file.string());
  }
  if (training == 0)
    throw DataError({"STOFM-4585", path.string(), "slices", "none to train on", "at least one",
                     "Build the corpus of more slices, or with smaller shares held out."});
  Console::get().say(concat("corpus ", path.string(), ": ", format_count(training), " slices to train on, ",
                            slices.held_out.size(), " for validation; left out: ", test, " for the test, ",
                            duplicates, " duplicates, ", excluded, " excluded"));
  return slices;
}

}  // namespace stofm::program
