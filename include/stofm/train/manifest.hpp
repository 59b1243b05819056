// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The manifest of a corpus: `manifest.jsonl`, one JSON object a line and a slice, sorted by path. Paths are
/// relative to the folder of the manifest where that is possible, so the two can be moved together.

#include <array>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/io/json.hpp"
#include "stofm/train/known_files.hpp"

namespace stofm::train {

/// What a slice is used for.
enum class CorpusPart { training, validation, test };
inline constexpr std::array corpus_part_words{"train", "validation", "test"};
inline std::string part_word(CorpusPart part) { return corpus_part_words[static_cast<std::size_t>(part)]; }

/// One line: what the file holds, then what was decided about it.
struct ManifestSlice {
  std::string file{};          ///< .h5ad, relative to the manifest or absolute
  std::string source{};        ///< folder of an instrument that `file` was imported from; empty: none
  std::string source_state{};  ///< names, sizes and times of what is in it
  std::string sha256{};
  std::int64_t bytes = 0, modified_ns = 0;
  std::string made_with{};   ///< genes and options of the reading: another value, another line
  std::string vocabulary{};  ///< first digits of the SHA-256 of the gene table
  std::string species{};     ///< "human", "mouse"
  std::int64_t human_genes = 0, mouse_genes = 0;  ///< columns named as genes of one
  std::string panel{};                            ///< first digits of the SHA-256 of the sorted known genes
  std::int64_t genes = 0, known_genes = 0;        ///< columns that are genes; those in the vocabulary
  std::int64_t cells = 0;
  std::int64_t cells_with_genes = 0, tokens = 0;  ///< as KnownFile
  std::array<double, 4> extent{};                 ///< least x, least y, greatest x, greatest y
  double median_counts = 0, median_genes = 0;     ///< of a cell: counts of all genes, known genes above 0
  std::string technology_in_file{};               ///< as the file says, or ""
  std::vector<std::string> donors_in_file{};      ///< sorted; none: the file does not say

  std::string technology{}, tissue{}, licence{};
  std::vector<std::string> donors{};
  CorpusPart part = CorpusPart::training;
  std::string excluded{};      ///< why it is not used; "": it is
  std::string duplicate_of{};  ///< `file` of the slice that has its cells; "": none

  bool used() const { return excluded.empty() && duplicate_of.empty(); }
};

/// A manifest and where it stands.
struct Manifest {
  std::filesystem::path path{};  ///< of manifest.jsonl
  std::vector<ManifestSlice> slices{};

  /// Where the file of a line is.
  std::filesystem::path path_of(const std::string& file) const {
    return (path.parent_path() / file).lexically_normal();
  }
  /// Hashes and counts of all lines.
  KnownFiles known_files() const {
    KnownFiles known;
    for (const ManifestSlice& s : slices)
      known.add(path_of(s.file),
                {s.bytes, s.modified_ns, s.sha256, s.vocabulary, s.cells_with_genes, s.tokens});
    return known;
  }
};

/// The line, with its end. The same slice gives the same bytes.
inline std::string manifest_line(const ManifestSlice& s) {
  nlohmann::ordered_json j;
  j["file"] = s.file;
  if (!s.source.empty()) j["source"] = s.source;
  if (!s.source.empty()) j["source_state"] = s.source_state;
  j["sha256"] = s.sha256;
  j["bytes"] = s.bytes;
  j["modified_ns"] = s.modified_ns;
  j["species"] = s.species;
  j["human_genes"] = s.human_genes;
  j["mouse_genes"] = s.mouse_genes;
  j["technology"] = s.technology;
  if (s.technology_in_file != s.technology) j["technology_in_file"] = s.technology_in_file;
  if (!s.tissue.empty()) j["tissue"] = s.tissue;
  if (!s.licence.empty()) j["licence"] = s.licence;
  j["panel"] = s.panel;
  j["genes"] = s.genes;
  j["known_genes"] = s.known_genes;
  j["cells"] = s.cells;
  j["cells_with_genes"] = s.cells_with_genes;
  j["tokens"] = s.tokens;
  j["extent"] = s.extent;
  j["median_counts"] = s.median_counts;
  j["median_genes"] = s.median_genes;
  j["donors"] = s.donors;
  if (s.donors_in_file != s.donors) j["donors_in_file"] = s.donors_in_file;
  j["split"] = part_word(s.part);
  if (!s.excluded.empty()) j["excluded"] = s.excluded;
  if (!s.duplicate_of.empty()) j["duplicate_of"] = s.duplicate_of;
  j["vocabulary"] = s.vocabulary;
  j["made_with"] = s.made_with;
  return j.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

namespace detail {

[[noreturn]] inline void refuse_line(const std::string& file, std::int64_t line, std::string found,
                                     std::string expected) {
  throw FileError({"STOFM-4580", file, concat("line ", line), std::move(found), std::move(expected),
                   "Let `stofm corpus build` write it again."});
}

}  // namespace detail

/// A slice from its line. \p file and \p line name the place in messages. \throws FileError as
/// io::parse_json, STOFM-4580 for a member that is missing or of another kind
inline ManifestSlice parse_manifest_line(std::string_view text, const std::string& file, std::int64_t line) {
  const nlohmann::json j = io::parse_json(text, file, {}, concat("line ", line));
  ManifestSlice s;
  try {
    const auto text_of = [&j](const char* key) { return j.value(key, std::string()); };
    j.at("file").get_to(s.file);
    s.source = text_of("source");
    s.source_state = text_of("source_state");
    j.at("sha256").get_to(s.sha256);
    j.at("bytes").get_to(s.bytes);
    j.at("modified_ns").get_to(s.modified_ns);
    j.at("species").get_to(s.species);
    j.at("human_genes").get_to(s.human_genes);
    j.at("mouse_genes").get_to(s.mouse_genes);
    j.at("technology").get_to(s.technology);
    s.technology_in_file = j.value("technology_in_file", s.technology);
    s.tissue = text_of("tissue");
    s.licence = text_of("licence");
    j.at("panel").get_to(s.panel);
    j.at("genes").get_to(s.genes);
    j.at("known_genes").get_to(s.known_genes);
    j.at("cells").get_to(s.cells);
    j.at("cells_with_genes").get_to(s.cells_with_genes);
    j.at("tokens").get_to(s.tokens);
    j.at("extent").get_to(s.extent);
    j.at("median_counts").get_to(s.median_counts);
    j.at("median_genes").get_to(s.median_genes);
    j.at("donors").get_to(s.donors);
    s.donors_in_file = j.value("donors_in_file", s.donors);
    const auto word = j.at("split").get<std::string>();
    const auto part = std::find(corpus_part_words.begin(), corpus_part_words.end(), word);
    if (part == corpus_part_words.end())
      detail::refuse_line(file, line, "split " + stofm::quoted(word, 40), "train, validation or test");
    s.part = static_cast<CorpusPart>(part - corpus_part_words.begin());
    s.excluded = text_of("excluded");
    s.duplicate_of = text_of("duplicate_of");
    j.at("vocabulary").get_to(s.vocabulary);
    j.at("made_with").get_to(s.made_with);
  } catch (const nlohmann::json::exception& e) {
    detail::refuse_line(file, line, stofm::quoted(e.what(), 200), "a line of a manifest");
  }
  return s;
}

/// The manifest that `input` names: the file itself (.jsonl), or manifest.jsonl in a folder; "" if it is
/// neither.
inline std::filesystem::path manifest_of(const std::filesystem::path& input) {
  std::error_code ignored;
  if (std::filesystem::is_directory(input, ignored)) {
    const auto inside = input / "manifest.jsonl";
    return std::filesystem::is_regular_file(inside, ignored) ? inside : std::filesystem::path();
  }
  return input.extension() == ".jsonl" ? input : std::filesystem::path();
}

/// Reads a manifest, every line checked. \throws FileError as io::File::open and parse_manifest_line, 4580
/// for an empty one. *Cost* about 2 us and 1 KB a slice
inline Manifest read_manifest(const std::filesystem::path& path) {
  Manifest manifest{.path = path, .slices = {}};
  const std::string text = io::File::open(path).read_all(std::int64_t{4} << 30);
  std::int64_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = (std::min)(text.find('\n', at), text.size());
    ++line;
    if (end == text.size()) detail::refuse_line(path.string(), line, "a line without an end", "whole lines");
    manifest.slices.push_back(
        parse_manifest_line(std::string_view(text).substr(at, end - at), path.string(), line));
    at = end + 1;
  }
  if (manifest.slices.empty()) detail::refuse_line(path.string(), 1, "no line", "one line a slice");
  return manifest;
}

}  // namespace stofm::train
