// SPDX-License-Identifier: MIT
// Which of a slice's names are genes: gaps, placeholders, composite names, genome prefixes, columns by
// content, two species, and what the refusals say.
#include "stofm/pipeline/gene_columns.hpp"

#include <doctest/doctest.h>

#include "stofm/pipeline/gene_mapping.hpp"

using namespace stofm;
using namespace stofm::pipeline;

namespace {

constexpr int genes = 20;

std::string number(int i) { return concat(i < 10 ? "0" : "", i); }
std::string human(int i) { return concat("ENSG000000000", number(i)); }
std::string mouse(int i) { return concat("ENSMUSG000000000", number(i)); }
/// GENEXA for gene 0, Genexa as mouse symbols are written.
std::string symbol(int i) { return concat("GENEX", static_cast<char>('A' + i)); }
std::string mouse_symbol(int i) { return concat("Genex", static_cast<char>('a' + i)); }

GeneTable make_table() {
  std::string text = "ensembl_id\tsymbols\ttoken\tmedian\n";
  for (int i = 0; i < genes; ++i) text += concat(human(i), "\t", symbol(i), "\t", i + 2, "\t1\n");
  return GeneTable::parse(text);
}
const GeneTable table = make_table();
MouseMap make_map() {
  std::string text = "mouse_ensembl_id\thuman_ensembl_id\n";
  for (int i = 0; i < genes; ++i) text += concat(mouse(i), "\t", human(i), "\n");
  return MouseMap::parse(text, table);
}
const MouseMap mouse_map = make_map();

std::vector<std::string> names(std::string (*name)(int), int count = genes) {
  std::vector<std::string> list;
  for (int i = 0; i < count; ++i) list.push_back(name(i));
  return list;
}
std::vector<std::string> numbers(int count = genes) {
  std::vector<std::string> list;
  for (int i = 0; i < count; ++i) list.push_back(concat(i));
  return list;
}

/// A slice of which only the names of the genes matter.
io::Slice slice_of(std::vector<std::string> ids, std::vector<std::string> symbols = {}) {
  io::Slice slice;
  slice.path = "s.h5ad";
  slice.gene_id_column = symbols.empty() ? "index" : "ensembl_id";
  slice.gene_symbol_column = symbols.empty() ? "" : "index";
  slice.gene_ids = std::move(ids);
  slice.gene_symbols = std::move(symbols);
  return slice;
}
GeneMapping map(const io::Slice& slice, const GeneMappingOptions& options = {}) {
  return map_genes(slice, table, mouse_map, options);
}
const Notice* notice(const GeneMapping& mapping, const std::string& code) {
  for (const auto& one : mapping.notices)
    if (one.code == code) return &one;
  return nullptr;
}
std::int64_t count_of(const GeneMapping& mapping, const std::string& code) {
  const Notice* found = notice(mapping, code);
  return found == nullptr ? 0 : found->count;
}
/// Every gene has its own token, none is summed.
void check_all(const GeneMapping& mapping) {
  REQUIRE(mapping.columns() == genes);
  for (int i = 0; i < genes; ++i) CHECK(mapping.tokens[static_cast<std::size_t>(i)] == i + 2);
  CHECK_FALSE(mapping.any_summed);
  CHECK(mapping.coverage.matched == genes);
}
template <class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const DataError& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what stands for a missing name is none") {
  for (const char* text : {"", " ", "nan", "NaN", " nan ", "None", "NA", "<NA>", "null", "-", ".", "n/a"})
    CHECK_MESSAGE(classify_gene_name(text).kind == GeneNameKind::none, text);
  for (const char* text : {"NAT1", "NANOG", "NADK", "A", "7SK", "NA1", "NONO"})
    CHECK_MESSAGE(classify_gene_name(text).kind == GeneNameKind::other, text);
}

TEST_CASE("a gene without an Ensembl id is found by its symbol; missing ids never merge") {
  for (const char* missing : {"", "nan", "None", "NA", "<NA>", "-", ".", " NaN "}) {
    CAPTURE(missing);
    auto ids = names(human);
    for (std::size_t i = 0; i < 8; ++i) ids[i] = missing;
    const GeneMapping m = map(slice_of(ids, names(symbol)));
    check_all(m);
    CHECK(count_of(m, "STOFM-W4121") == 8);
    CHECK(coverage_text(m.coverage) ==
          "20 of 20 genes matched (100.0 %), human, by Ensembl id from var[\"ensembl_id\"]");
    const GeneMapping alone = map(slice_of(ids));
    CHECK(alone.coverage.matched == 12);
    CHECK(alone.coverage.genes == 20);
    CHECK_FALSE(alone.any_summed);
  }
}

TEST_CASE("unmatched genes are listed by a name that the file has for them") {
  auto ids = names(human);
  auto symbols = names(symbol);
  ids[3] = "nan";
  symbols[3] = "AC012345.1";
  ids[4] = "nan";
  symbols[4] = "nan";
  io::Slice slice = slice_of(ids, symbols);
  slice.gene_symbol_column = "gene_symbol";
  slice.other_gene_names.push_back({"index", numbers()});
  CHECK(map(slice).coverage.first_unmatched == std::vector<std::string>{"3", "4"});
  slice.other_gene_names.clear();
  CHECK(map(slice).coverage.first_unmatched == std::vector<std::string>{"AC012345.1", "nan"});
}

TEST_CASE("D10: a text that stands everywhere is no id, and the share is one of columns") {
  const std::vector<std::string> alike(genes, "<b>"), one_gene(genes, human(0));
  check_all(map(slice_of(alike, names(symbol))));
  check_all(map(slice_of(one_gene, names(symbol))));
  CHECK(refusal([&] { map(slice_of(alike)); }).find("0 of 20") != std::string::npos);
  CHECK(refusal([&] { map(slice_of(one_gene)); }).find("0 of 20") != std::string::npos);
  std::vector<std::string> mostly(genes, "nan");
  mostly[0] = human(0);
  CHECK(refusal([&] { map(slice_of(mostly)); }).find("1 of 20 genes matched (5.0 %)") != std::string::npos);
  auto twice = names(human);  // real duplicates are summed and each counts
  twice[1] = human(0);
  const GeneMapping m = map(slice_of(twice));
  CHECK(m.coverage.matched == 20);
  CHECK(m.summed_into[1] == 0);
  CHECK(count_of(m, "STOFM-W4114") == 1);
}

TEST_CASE("an Ensembl id is found anywhere in a name") {
  const auto with = [](auto&& join) {
    std::vector<std::string> list;
    for (int i = 0; i < genes; ++i) list.push_back(join(human(i), symbol(i)));
    return list;
  };
  using Text = const std::string&;
  for (const auto& list : {with([](Text id, Text s) { return s + ":" + id; }),
                           with([](Text id, Text s) { return id + "_" + s; }),
                           with([](Text id, Text s) { return id + ".7_" + s; }),
                           with([](Text id, Text s) { return s + "--" + id; }),
                           with([](Text id, Text s) { return s + "|" + id + ".12"; }),
                           with([](Text id, Text s) { return s + " (" + id + ")"; })}) {
    CAPTURE(list.front());
    const GeneMapping m = map(slice_of(list));
    check_all(m);
    CHECK(count_of(m, "STOFM-W4117") == 20);
    CHECK(m.coverage.naming == GeneNaming::ensembl);
  }
  CHECK(classify_gene_name("Cdh5--ENSMUSG00000031871").text == "ENSMUSG00000031871");
  CHECK(classify_gene_name("XENSG00000000001").kind == GeneNameKind::other);
  CHECK(classify_gene_name("ENSG00000000001.2_PAR_Y").composite == false);
  CHECK(classify_gene_name("ENSA").kind == GeneNameKind::other);
}

TEST_CASE("a withdrawn probe is no gene, though its name holds the id") {
  auto ids = names(human);
  ids[0] = "DEPRECATED_" + human(1);
  const GeneMapping m = map(slice_of(ids, names(symbol)));
  CHECK(m.tokens[0] == -1);
  CHECK_FALSE(m.any_summed);
  CHECK(m.counted[0] == 1);
  CHECK(m.coverage.not_gene_ids == 1);
}

TEST_CASE("genome prefixes are stripped and counted") {
  for (const char* prefix :
       {"GRCh38_", "hg19_", "GRCh38______", "GRCh38-", "GRCh38-2020-A_", "GRCh38-3.0.0_", "GRCh38_premrna_"})
    for (auto* name : {human, symbol}) {
      CAPTURE(prefix);
      auto list = names(name);
      for (auto& one : list) one = prefix + one;
      const GeneMapping m = map(slice_of(list));
      check_all(m);
      CHECK(count_of(m, "STOFM-W4118") == 20);
    }
  auto list = names(mouse_symbol);
  for (auto& one : list) one = "mm10___" + one;
  const GeneMapping m = map(slice_of(list));
  check_all(m);
  CHECK(m.coverage.species == Species::mouse);
  CHECK(classify_gene_name("HG19").text == "HG19");
  CHECK(classify_gene_name("MM1_X").text == "MM1_X");
}

TEST_CASE("names in another column than the usual ones are found by content") {
  io::Slice slice = slice_of(numbers());
  slice.other_gene_names = {{"note", std::vector<std::string>(genes, symbol(0))},
                            {"features", names(symbol)},
                            {"chromosome", std::vector<std::string>(genes, "chr1")}};
  const GeneMapping m = map(slice);
  check_all(m);
  CHECK(coverage_text(m.coverage) ==
        "20 of 20 genes matched (100.0 %), human, by symbol from var[\"features\"]");
  REQUIRE(notice(m, "STOFM-W4119") != nullptr);
  CHECK(notice(m, "STOFM-W4119")->text.find("index 0.0 %, \"note\" 0.0 %, \"features\" 100.0 %") !=
        std::string::npos);
  // With as many known genes ids go before symbols.
  slice.other_gene_names.push_back({"Gene", names(human)});
  CHECK(map(slice).coverage.column == "Gene");
  // A usual column that names its genes is kept, whatever else there is.
  io::Slice usual = slice_of(names(human));
  for (std::size_t i = 10; i < genes; ++i)
    usual.gene_ids[i] = concat("ENSG000000990", number(static_cast<int>(i)));
  usual.other_gene_names = {{"features", names(symbol)}};
  const GeneMapping kept = map(usual);
  CHECK(kept.coverage.column == "index");
  CHECK(kept.coverage.matched == 10);
  CHECK(notice(kept, "STOFM-W4119") == nullptr);
  // Gaps beside a numbered index are filled from it.
  io::Slice gaps = slice_of(names(human), numbers());
  for (std::size_t i = 0; i < 8; ++i) gaps.gene_ids[i] = "nan";
  gaps.other_gene_names = {{"features", names(symbol)}};
  check_all(map(gaps));
}

TEST_CASE("a chosen column alone names genes; the refusal names one that works") {
  io::Slice slice = slice_of(names(human), names(symbol));
  for (std::size_t i = 0; i < 8; ++i) slice.gene_ids[i] = "nan";
  slice.gene_column_chosen = true;
  CHECK(map(slice).coverage.matched == 12);
  slice.gene_ids = numbers();
  slice.gene_id_column = "number";
  slice.other_gene_names = {{"Gene", names(human)}};
  const std::string text = refusal([&] { map(slice); });
  CHECK_MESSAGE(text.find("\"number\" 0.0 %, index 100.0 %, \"Gene\" 100.0 %") != std::string::npos, text);
  CHECK_MESSAGE(text.find("H5adReadOptions::gene_key = index") != std::string::npos, text);
  slice.gene_symbols.clear();
  CHECK(refusal([&] { map(slice); }).find("H5adReadOptions::gene_key = Gene") != std::string::npos);
}

TEST_CASE("the refusal of thin coverage names a value of refuse_below that works") {
  std::vector<std::string> ids = names(human, 1);
  for (int i = 0; i < 30; ++i) ids.push_back(concat("ENSG000000880", number(i)));
  const std::string text = refusal([&] { map(slice_of(ids)); });
  CHECK_MESSAGE(text.find("GeneMappingOptions::refuse_below = 0.032") != std::string::npos, text);
  CHECK(map(slice_of(ids), {.refuse_below = 0.032}).coverage.matched == 1);
  for (std::size_t i = 1; i < ids.size(); ++i) ids[i] = concat("chr1:", i);  // what is known, is by its id
  CHECK(refusal([&] { map(slice_of(ids)); }).find("(3.2 %), human, by Ensembl id") != std::string::npos);
}

TEST_CASE("two species: both counts are said, all genes are used") {
  auto ids = names(human, 12);
  for (int i = 0; i < 8; ++i) ids.push_back(mouse(i));
  const GeneMapping m = map(slice_of(ids));
  CHECK(m.coverage.matched == 20);
  CHECK(m.coverage.species == Species::human);
  REQUIRE(notice(m, "STOFM-W4122") != nullptr);
  CHECK(notice(m, "STOFM-W4122")->text.starts_with("12 genes are named as human and 8 as mouse"));
  std::vector<std::string> prefixed;
  for (int i = 0; i < 10; ++i) prefixed.push_back("GRCh38_" + symbol(i));
  for (int i = 0; i < 10; ++i) prefixed.push_back("mm10___" + mouse_symbol(i));
  const GeneMapping p = map(slice_of(prefixed));
  CHECK(count_of(p, "STOFM-W4122") == 10);
  CHECK_FALSE(p.any_summed);  // a gene of each species
  CHECK(notice(map(slice_of(names(human))), "STOFM-W4122") == nullptr);
}

TEST_CASE("a mouse slice with human orthologue ids is called mouse, and its blanks stay blanks") {
  for (auto* name : {mouse_symbol, mouse}) {
    io::Slice slice = slice_of(names(human), names(name));
    const GeneMapping m = map(slice);
    check_all(m);
    CHECK(m.coverage.species == Species::mouse);
    CHECK(m.notices.empty());
    CHECK(coverage_text(m.coverage) ==
          "20 of 20 genes matched (100.0 %), mouse, by human Ensembl id from var[\"ensembl_id\"]");
    slice.gene_ids[5] = "";  // no orthologue, says whoever looked for them
    const GeneMapping blank = map(slice);
    CHECK(blank.tokens[5] == -1);
    CHECK(blank.coverage.matched == 19);
  }
  io::Slice gaps = slice_of(names(mouse), names(mouse_symbol));  // ids of its own: a gap is a gap
  for (std::size_t i = 0; i < 8; ++i) gaps.gene_ids[i] = "nan";
  check_all(map(gaps));
}
