// SPDX-License-Identifier: MIT
/// \file
/// `stofm corpus`: build (corpus_build.hpp), check, stat.

#include <algorithm>
#include <map>
#include <tuple>

#include "console.hpp"
#include "corpus_build.hpp"
#include "option_flags.hpp"
#include "processes.hpp"
#include "stofm/train/build_manifest.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

using train::ManifestSlice;

train::Manifest open_corpus_manifest(const std::string& input) {
  const std::filesystem::path path = train::manifest_of(input);
  if (path.empty())
    throw UsageError({"STOFM-4581", input, "corpus", "no manifest.jsonl", "the folder of a corpus",
                      "Make one with `stofm corpus build`."});
  return train::read_manifest(path);
}

/// What is wrong with the file of a line, or "".
std::string corpus_file_fault(const std::filesystem::path& path, const ManifestSlice& line, bool hash) {
  const io::FileIdentity now = io::file_identity(path.string());
  if (!now.known()) return "no such file";
  if (now.bytes != line.bytes) return concat(now.bytes, " bytes, not ", line.bytes);
  if (hash) return io::sha256_file(path) == line.sha256 ? "" : "another content (SHA-256)";
  return now.modified_ns == line.modified_ns ? "" : "written since it was indexed";
}

int check_corpus_files(const CorpusArguments& a) {
  Console& console = Console::get();
  const train::Manifest manifest = open_corpus_manifest(a.inputs.front());
  std::vector<std::string> faults = train::manifest_faults(manifest.slices);
  const auto total = static_cast<std::int64_t>(manifest.slices.size());
  std::int64_t done = 0;
  for (const ManifestSlice& line : manifest.slices) {
    std::string fault;
    try {
      fault = corpus_file_fault(manifest.path_of(line.file), line, a.hash);
    } catch (const FileError& e) {
      fault = with_flags(e.what());
    }
    if (!fault.empty()) faults.push_back(line.file + ": " + fault);
    console.progress("files", ++done, total, "files");
  }
  console.end_progress();
  for (const std::string& fault : faults) print(fault + "\n");
  if (!faults.empty())
    throw DataError(
        {"STOFM-4587", manifest.path.string(), "corpus",
         concat(faults.size(), faults.size() == 1 ? " fault" : " faults", ", the first: ", faults.front()),
         "files and splits as when it was built", "Build it again: what has not changed is not read again."});
  console.say(concat(format_count(total), " slices are as the manifest says",
                     a.hash ? "" : " by size and time (--hash reads them)"));
  return 0;
}

/// Sums over slices of one kind.
struct CorpusSums {
  std::int64_t slices = 0, cells = 0, tokens = 0;
  std::int64_t least_genes = INT64_MAX, most_genes = 0;

  void add(const ManifestSlice& s) {
    ++slices;
    cells += s.cells;
    tokens += s.tokens;
    least_genes = std::min(least_genes, s.known_genes);
    most_genes = std::max(most_genes, s.known_genes);
  }
};

using CorpusKind = std::tuple<std::string, std::string, std::string>;  // technology, species, split

std::map<CorpusKind, CorpusSums> corpus_sums(const train::Manifest& manifest) {
  std::map<CorpusKind, CorpusSums> sums;
  for (const ManifestSlice& s : manifest.slices) {
    const std::string use = !s.excluded.empty()       ? "excluded"
                            : !s.duplicate_of.empty() ? "duplicate"
                                                      : train::part_word(s.part);
    sums[{s.technology, s.species, use}].add(s);
  }
  return sums;
}

std::string corpus_genes_text(const CorpusSums& sums) {
  return sums.least_genes == sums.most_genes ? std::to_string(sums.most_genes)
                                             : concat(sums.least_genes, "-", sums.most_genes);
}

int describe_corpus(const CorpusArguments& a) {
  const train::Manifest manifest = open_corpus_manifest(a.inputs.front());
  const auto sums = corpus_sums(manifest);
  if (a.json) {
    nlohmann::ordered_json rows = nlohmann::json::array();
    for (const auto& [kind, s] : sums)
      rows.push_back({{"technology", std::get<0>(kind)},
                      {"species", std::get<1>(kind)},
                      {"split", std::get<2>(kind)},
                      {"slices", s.slices},
                      {"cells", s.cells},
                      {"tokens", s.tokens},
                      {"least_known_genes", s.least_genes},
                      {"most_known_genes", s.most_genes}});
    const nlohmann::ordered_json all{{"manifest", manifest.path.string()}, {"rows", rows}};
    print(all.dump(1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
    return 0;
  }
  std::vector<std::vector<std::string>> table{
      {"technology", "species", "split", "slices", "cells", "known genes"}};
  CorpusSums used;
  for (const auto& [kind, s] : sums)
    table.push_back({std::get<0>(kind).empty() ? "-" : std::get<0>(kind), std::get<1>(kind),
                     std::get<2>(kind), format_count(s.slices), format_count(s.cells), corpus_genes_text(s)});
  for (const ManifestSlice& s : manifest.slices)
    if (s.used()) used.add(s);
  table.push_back({"all that is used", "", "", format_count(used.slices), format_count(used.cells),
                   used.slices == 0 ? "-" : corpus_genes_text(used)});
  std::vector<std::size_t> widths(table.front().size(), 0);
  for (auto& row : table) {
    if (row.front().size() > 40) row.front() = row.front().substr(0, 37) + "...";
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (const auto& row : table) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string gap(widths[c] - row[c].size(), ' ');
      line += (c == 0 ? "" : "  ") + (c < 3 ? row[c] + gap : gap + row[c]);
    }
    print(line + "\n");
  }
  return 0;
}

}  // namespace

int run_corpus(const Arguments& arguments) {
  const CorpusArguments& a = arguments.corpus;
  if (a.action == "check") return check_corpus_files(a);
  if (a.action == "stat") return describe_corpus(a);
  const auto ranks = start_processes();
  return distributed::guard_rank(*ranks, [&] { return build_corpus(a, *ranks); });
}

}  // namespace stofm::program
