// SPDX-License-Identifier: MIT
// The manifest of a corpus: lines, splits by donor, what is left out, what is found wrong with one.
#include "stofm/train/manifest.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <set>

#include "stofm/train/build_manifest.hpp"
#include "tests/support/paths.hpp"

namespace {

using namespace stofm;
using namespace stofm::test;
using train::CorpusPart;
using train::ManifestSlice;

ManifestSlice slice(const std::string& file, std::vector<std::string> donors = {}, std::int64_t cells = 100) {
  ManifestSlice s;
  s.file = file;
  s.sha256 = io::sha256_hex(file);
  s.species = "mouse";
  s.panel = "0011223344556677";
  s.genes = 33;
  s.known_genes = 31;
  s.cells = cells;
  s.median_counts = 12.5;
  s.donors = s.donors_in_file = std::move(donors);
  return s;
}

/// Slices x of donors d<x / 2>, without common cells.
std::vector<ManifestSlice> many(int count) {
  std::vector<ManifestSlice> slices;
  for (int i = 0; i < count; ++i) slices.push_back(slice(concat("s", i), {concat("d", i / 2)}));
  return slices;
}

std::vector<train::ManifestPair> build(std::vector<ManifestSlice>& slices,
                                       const train::ManifestOptions& options = {},
                                       const std::vector<std::optional<CorpusPart>>& given = {}) {
  return train::build_manifest(
      slices,
      [&slices](std::int64_t i, bool) {  // cells are named after what stands before "-" in the file
        const std::string& file = slices[static_cast<std::size_t>(i)].file;
        const auto name = file.substr(0, file.find('-'));
        train::Fingerprints prints;
        for (std::uint64_t c = 0; c < 40; ++c)
          prints.push_back(train::mix_bits(std::hash<std::string>{}(name) + c));
        return train::CellFingerprints{train::sorted_fingerprints(prints), {}};
      },
      given, options);
}

std::map<CorpusPart, int> counts(const std::vector<ManifestSlice>& slices) {
  std::map<CorpusPart, int> parts;
  for (const auto& s : slices) ++parts[s.part];
  return parts;
}

}  // namespace

TEST_CASE("a line comes back as it was, and the same slice gives the same line") {
  ManifestSlice s = slice("a/\"b\".h5ad", {"x", "y"});
  s.technology = "MERFISH";
  s.technology_in_file = "merfish, 135 genes";
  s.donors = {"told"};
  s.extent = {-1.5, 0.1, 3, 4};
  s.part = CorpusPart::test;
  s.duplicate_of = "c";
  s.source = "outs";
  s.source_state = "77";
  const std::string line = train::manifest_line(s);
  CHECK(line.find('\n') == line.size() - 1);
  const ManifestSlice back = train::parse_manifest_line(line, "m", 1);
  CHECK(train::manifest_line(back) == line);
  CHECK(back.donors_in_file == std::vector<std::string>{"x", "y"});
  CHECK(back.technology_in_file == "merfish, 135 genes");
  CHECK(back.extent == s.extent);
  CHECK(back.part == CorpusPart::test);
  CHECK(!back.used());
}

TEST_CASE("lines that are none name file, line and fault") {
  const ScratchDir dir;
  const std::string line = train::manifest_line(slice("a"));
  const auto refused = [&](const std::string& text, const char* words) {
    std::ofstream(dir / "manifest.jsonl") << text;
    try {
      train::read_manifest(dir / "manifest.jsonl");
      FAIL("accepted: ", text);
    } catch (const FileError& e) {
      CHECK_MESSAGE(std::string(e.what()).find(words) != std::string::npos, e.what());
      CHECK(e.file().ends_with("manifest.jsonl"));
    }
  };
  refused("", "no line");
  refused(line + line.substr(0, 30) + "\n", "line 2");
  refused(line + line.substr(0, line.size() - 1), "without an end");
  refused(line + "{}\n", "line 2");
  auto other = line;
  other.replace(other.find("\"train\""), 7, "\"trane\"");
  refused(other, "trane");
  other = line;
  other.replace(other.find("100"), 3, "\"b\"");
  refused(other, "STOFM-4580");
  std::ofstream(dir / "manifest.jsonl") << line;
  const train::Manifest manifest = train::read_manifest(dir / "manifest.jsonl");
  CHECK(manifest.slices.size() == 1);
  CHECK(manifest.path_of("../a.h5ad") == (dir.path().parent_path() / "a.h5ad"));
  CHECK(train::manifest_of(dir.path()) == dir / "manifest.jsonl");
  CHECK(train::manifest_of(dir / "a.h5ad").empty());
  CHECK(train::manifest_of(dir.path().parent_path()).empty());
}

TEST_CASE("a donor is in one part, shares are about kept, and more donors move nobody") {
  auto slices = many(2000);
  build(slices);
  const auto parts = counts(slices);
  for (std::size_t i = 0; i < slices.size(); i += 2) CHECK(slices[i].part == slices[i + 1].part);
  for (const CorpusPart part : {CorpusPart::validation, CorpusPart::test}) {
    CHECK(parts.at(part) > 50);  // 1,000 donors at 0.05: 50, standard deviation 7; two slices each
    CHECK(parts.at(part) < 150);
  }
  CHECK(train::manifest_faults(slices).empty());
  auto more = many(2100);
  build(more);
  for (std::size_t i = 0; i < slices.size(); ++i) REQUIRE(more[i].part == slices[i].part);
  auto seeded = many(2000);
  build(seeded, {.split = {.seed = 1}});
  CHECK(counts(seeded) != counts(slices));
}

TEST_CASE("few donors give each part one, and training comes first") {
  for (const int count : {2, 4, 6, 8}) {
    auto slices = many(count);
    build(slices);
    const auto parts = counts(slices);
    CHECK(parts.count(CorpusPart::training) == 1);
    CHECK(parts.size() == (count < 6 ? 1U : 3U));
  }
  auto slices = many(6);
  build(slices, {.split = {.validation = 0, .test = 0}});
  CHECK(counts(slices).at(CorpusPart::training) == 6);
}

TEST_CASE("donors that share a slice, and slices that share cells, stay together") {
  std::vector<ManifestSlice> slices;
  for (int i = 0; i < 60; ++i) slices.push_back(slice(concat("s", i), {concat("d", i), concat("d", i + 1)}));
  build(slices);
  CHECK(counts(slices).size() == 1);  // a chain
  slices = {slice("a-1", {"x"}), slice("a-2", {"y"}, 50), slice("b", {"x"}), slice("c", {"z"})};
  const auto pairs = build(slices);
  REQUIRE(pairs.size() == 1);
  CHECK(pairs[0].common.counts == 1);
  CHECK(!pairs[0].same_file);
  CHECK(slices[1].duplicate_of == "a-1");
  CHECK(slices[0].part == slices[1].part);
  CHECK(slices[0].part == slices[2].part);
}

TEST_CASE(
    "of two slices with the same cells the larger stays, else the one with more genes, else the first") {
  std::vector<ManifestSlice> slices{slice("a-1", {}, 50), slice("a-2", {}, 60), slice("b-1"),
                                    slice("b-2"),         slice("c-1"),         slice("c-2")};
  slices[3].known_genes = 32;
  build(slices);
  CHECK(slices[0].duplicate_of == "a-2");
  CHECK(slices[2].duplicate_of == "b-2");
  CHECK(slices[5].duplicate_of == "c-1");
  CHECK(slices[4].used());
  // The same bytes under two names; the first is itself a duplicate.
  slices = {slice("a-1", {}, 50), slice("a-2", {}, 60), slice("a-3", {}, 50)};
  slices[2].sha256 = slices[0].sha256;
  const auto pairs = build(slices);
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[1].same_file);
  CHECK(slices[2].duplicate_of == "a-2");
}

TEST_CASE("slices below the limits are excluded with a reason, and are nobody's original") {
  std::vector<ManifestSlice> slices{slice("a-1", {}, 1), slice("b"), slice("c"), slice("a-2", {}, 70)};
  slices[1].known_genes = 4;
  slices[2].median_counts = 0.5;
  build(slices, {.least = {.cells = 2, .known_genes = 5, .median_counts = 1}});
  CHECK(slices[0].excluded == "1 cells, fewer than 2");
  CHECK(slices[1].excluded == "4 genes in the vocabulary, fewer than 5");
  CHECK(slices[2].excluded == "median counts of a cell 0.5, below 1");
  CHECK(slices[3].used());
}

TEST_CASE("a part that is given is that of the whole donor, and two of them are refused") {
  auto slices = many(6);
  std::vector<std::optional<CorpusPart>> given(6);
  given[2] = CorpusPart::test;
  build(slices, {}, given);
  CHECK(slices[3].part == CorpusPart::test);
  given[3] = CorpusPart::validation;
  CHECK_THROWS_WITH_AS(build(slices, {}, given), doctest::Contains("s3"), UsageError);
  CHECK_THROWS_AS(build(slices, {.split = {.validation = 0.5, .test = 0.5}}), UsageError);
}

TEST_CASE("faults of a manifest are found") {
  auto slices = many(4);
  CHECK(train::manifest_faults(slices).empty());
  slices[1].part = CorpusPart::test;
  slices[2].duplicate_of = "nobody";
  slices[3].file = "s2";
  const auto faults = train::manifest_faults(slices);
  REQUIRE(faults.size() == 3);
  CHECK(faults[0] == "s2: two lines");
  CHECK(faults[1].find("donor \"d0\" is in test, and in train with s0") != std::string::npos);
  CHECK(faults[2].find("duplicate of nobody") != std::string::npos);
  slices = many(4);
  slices[0].duplicate_of = "s2";
  slices[0].part = slices[1].part = CorpusPart::validation;
  CHECK(train::manifest_faults(slices).size() == 1);
}
