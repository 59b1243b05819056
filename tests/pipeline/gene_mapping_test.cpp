// SPDX-License-Identifier: MIT
// Gene columns to tokens: ids, versions, mouse, symbols, duplicates, thresholds (rows D09 to D15).
#include "stofm/pipeline/gene_mapping.hpp"

#include <doctest/doctest.h>

using namespace stofm;
using namespace stofm::pipeline;

namespace {
const GeneTable table = GeneTable::parse(
    "ensembl_id\tsymbols\ttoken\tmedian\n"
    "ENSG00000000001\tGAPDH\t2\t1\nENSG00000000002\tGAD1\t3\t2\nENSG00000000003\tC1orf112\t4\t3\n"
    "ENSG00000000004\tRP11-34P13.7\t5\t4\nENSG00000000005\tTWIN\t6\t5\nENSG00000000006\tTWIN\t7\t6\n"
    "ENSGR0000000007\t\t8\t7\n");
const MouseMap mouse_map = MouseMap::parse(
    "mouse_ensembl_id\thuman_ensembl_id\nENSMUSG00000000001\tENSG00000000001\n"
    "ENSMUSG00000000002\tENSG00000000002\nENSMUSG00000000022\tENSG00000000002\nENSMUSG00000000009\tENSG000000"
    "09999\n",
    table);
const GeneMappingOptions any{.refuse_below = 0};

GeneMapping map(const std::vector<std::string>& ids, const std::vector<std::string>& symbols = {},
                const GeneMappingOptions& options = any) {
  return map_genes(ids, symbols, table, mouse_map, options, "s.h5ad");
}
std::int64_t count_of(const GeneMapping& mapping, const std::string& code) {
  for (const auto& notice : mapping.notices)
    if (notice.code == code) return notice.count;
  return 0;
}
using Tokens = std::vector<std::int32_t>;
}  // namespace

TEST_CASE("human Ensembl ids map directly") {
  const auto m = map({"ENSG00000000003", "ENSG00000000001", "ENSGR0000000007"});
  CHECK(m.tokens == Tokens{4, 2, 8});
  CHECK(m.medians == std::vector<double>{3, 1, 7});
  CHECK(m.cls_token == 9);
  CHECK(m.coverage.species == Species::human);
  CHECK(m.notices.empty());
  CHECK(coverage_text(m.coverage) == "3 of 3 genes matched (100.0 %), human, by Ensembl id");
}

TEST_CASE("D11: versions are stripped from ENSG and ENSMUSG ids only, and counted") {
  const auto m = map({"ENSG00000000001.12", "ENSMUSG00000000002.3", "RP11-34P13.7", "ENSG00000000003"});
  CHECK(m.tokens == Tokens{2, 3, 5, 4});  // the symbol keeps its ".7" and is found as one
  CHECK(m.coverage.versions_stripped == 2);
  CHECK(count_of(m, "STOFM-W4111") == 2);
  const auto s = map({"GAPDH", "RP11-34P13.7", "GAD1"});
  CHECK(s.tokens == Tokens{2, 5, 3});
  CHECK(s.coverage.naming == GeneNaming::symbols);
}

TEST_CASE("D12: transcripts, proteins and ENSA are no gene ids") {
  const auto m = map({"ENSG00000000001", "ENST00000000001", "ENSP00000000001", "ENSA", "ENSG00000000002",
                      "ENSG00000000003"});
  CHECK(m.tokens == Tokens{2, -1, -1, -1, 3, 4});
  CHECK(m.coverage.not_gene_ids == 3);
  CHECK(m.coverage.first_unmatched == std::vector<std::string>{"ENST00000000001", "ENSP00000000001", "ENSA"});
}

TEST_CASE("D13: a name that occurs twice is summed into its first column, listed") {
  const auto m = map({"ENSG00000000001.1", "ENSG00000000002", "ENSG00000000001.2_PAR_Y", "ENSG00000000002"});
  CHECK(m.tokens == Tokens{2, 3, 2, 3});
  CHECK(m.summed_into == Tokens{0, 1, 0, 1});
  CHECK(m.any_summed);
  CHECK(count_of(m, "STOFM-W4114") == 2);
  CHECK(m.coverage.shared_tokens == 0);
}

TEST_CASE("two mouse ids that reach one human id are both kept, as in the reference") {
  const auto m = map({"ENSMUSG00000000002", "ENSMUSG00000000022", "ENSMUSG00000000001"});
  CHECK(m.tokens == Tokens{3, 3, 2});
  CHECK_FALSE(m.any_summed);
  CHECK(m.coverage.shared_tokens == 1);
  CHECK(m.coverage.species == Species::mouse);
}

TEST_CASE("a mouse id without an entry, or with a target outside the vocabulary, drops out") {
  const auto m = map({"ENSMUSG00000000001", "ENSMUSG00000000404", "ENSMUSG00000000009"});
  CHECK(m.tokens == Tokens{2, -1, -1});
  CHECK(m.coverage.unmapped_mouse == 1);
  CHECK(m.coverage.outside_vocabulary == 1);
}

TEST_CASE("D15: blanks and lower case are normalised with a notice") {
  const auto m = map({" ENSG00000000001", "ensg00000000002\t", "ENSG00000000003", "ensmusg00000000001.4"});
  CHECK(m.tokens == Tokens{2, 3, 4, 2});
  CHECK(count_of(m, "STOFM-W4112") == 3);
}

TEST_CASE("symbols are found by themselves, in the ids or in the list of symbols") {
  const auto m = map({"GAPDH", "C1orf112", "NOPE"});
  CHECK(m.tokens == Tokens{2, 4, -1});
  CHECK(m.coverage.naming == GeneNaming::symbols);
  CHECK(map({"0", "1"}, {"GAPDH", "GAD1"}).tokens == Tokens{2, 3});
  // A gene with an Ensembl id keeps it, known or not; one without is looked up by its symbol.
  CHECK(map({"ENSG00000000001", "ENSG00000000404", "-"}, {"GAPDH", "GAD1", "C1orf112"}).tokens ==
        Tokens{2, -1, 4});
  // With GAD1 as id and as symbol it is one gene.
  const auto twice = map({"ENSG00000000001", "ENSG00000000002", "GAD1"}, {"GAPDH", "GAD1", "GAD1"});
  CHECK(twice.tokens == Tokens{2, 3, 3});
  CHECK(twice.summed_into == Tokens{0, 1, 1});
  GeneMappingOptions symbols = any;
  symbols.naming = GeneNaming::symbols;
  CHECK(map({"ENSG00000000404", "ENSG00000000405"}, {"GAPDH", "GAD1"}, symbols).tokens == Tokens{2, 3});
}

TEST_CASE("mouse symbols match their upper-cased namesakes with a notice; ambiguous ones drop out") {
  const auto m = map({"Gapdh", "Gad1", "Twin", "Nope"});
  CHECK(m.tokens == Tokens{2, 3, -1, -1});
  CHECK(m.coverage.species == Species::mouse);
  CHECK(count_of(m, "STOFM-W4113") == 2);
  CHECK(count_of(m, "STOFM-W4116") == 1);
  GeneMappingOptions exact = any;
  exact.fold_symbol_case = false;
  CHECK(map({"GAPDH", "Gad1"}, {}, exact).tokens == Tokens{2, -1});
}

TEST_CASE("control features are no genes and enter no total") {
  const auto m = map({"ENSG00000000001", "NegControlProbe_00042", "BLANK_0006", "antisense_BCL2L15",
                      "Blank-3", "ENSG00000000404"});
  CHECK(m.coverage.genes == 2);
  CHECK(m.coverage.control_features == 4);
  CHECK(m.counted == std::vector<std::uint8_t>{1, 0, 0, 0, 0, 1});
  for (const char* gene : {"BLNK", "FOO-AS1", "NEGR1", "SYS1", "ERCC1", "ERCC6L2", "NELFA", "ANTXR1"})
    CHECK_FALSE(is_control_feature(gene));
  for (const char* probe :
       {"NegControlProbe-00042", "antisense-BCL2L15", "Intergenic-Region-17", "Negative1", "Negative10",
        "SystemControl12", "DeprecatedCodeword-0318", "Unassigned_Codeword_2", "BLANK-0006", "ERCC-00002"})
    CHECK_MESSAGE(is_control_feature(probe), probe);
}

TEST_CASE("D09, D10, D14: refusals name the share and the way out") {
  const auto code_of = [](const std::vector<std::string>& ids, const GeneMappingOptions& options,
                          const std::string& word, const MouseMap& m = mouse_map) -> std::string {
    try {
      map_genes(ids, {}, table, m, options, "s.h5ad");
    } catch (const DataError& e) {
      CHECK(e.file() == "s.h5ad");
      CHECK_MESSAGE(std::string(e.what()).find(word) != std::string::npos, e.what());
      return e.code();
    }
    return "accepted";
  };
  const GeneMappingOptions standard;
  CHECK(code_of({}, standard, "no gene") == "STOFM-4121");
  CHECK(code_of({"BLANK_1"}, standard, "no gene") == "STOFM-4121");
  CHECK(code_of({"x", "y"}, standard, "0.0 %") == "STOFM-4124");
  GeneMappingOptions ensembl;
  ensembl.naming = GeneNaming::ensembl;
  CHECK(code_of({"GAPDH", "GAD1"}, ensembl, "H5adReadOptions::gene_key") == "STOFM-4124");
  std::vector<std::string> thin{"ENSG00000000001"};
  for (int i = 0; i < 9; ++i) thin.push_back(concat("ENSG0000000040", i));
  CHECK(code_of(thin, standard, "") == "accepted");  // 10.0 %
  thin.push_back("ENSG00000000411");
  CHECK(code_of(thin, standard, "9.0 %") == "STOFM-4125");
  CHECK(code_of(thin, any, "") == "accepted");
  CHECK(code_of({"ENSRNOG00000000001", "ENSRNOG00000000002", "ENSG00000000001"}, standard, "orthologues") ==
        "STOFM-4122");
  CHECK(code_of({"ENSMUSG00000000001"}, standard, "--mouse-to-human", MouseMap{}) == "STOFM-4123");
  GeneMappingOptions human;
  human.species = Species::human;
  CHECK(code_of({"ENSMUSG00000000001"}, human, "GeneMappingOptions::species") == "STOFM-4127");
  GeneMappingOptions wrong;
  wrong.warn_below = 1.5;
  CHECK_THROWS_AS(map({"ENSG00000000001"}, {}, wrong), UsageError);
  CHECK_THROWS_AS(map({"ENSG00000000001"}, {"a", "b"}), ShapeError);
}

TEST_CASE("D10: below 90 % a notice carries the true percentage, rounded down") {
  std::vector<std::string> ids;
  for (int i = 1; i <= 6; ++i) ids.push_back(concat("ENSG0000000000", i));
  CHECK(map(ids).notices.empty());
  ids.push_back("ENSG00000000404");
  const auto m = map(ids);
  REQUIRE(count_of(m, "STOFM-W4110") == 1);
  CHECK(m.notices[0].text.find("85.7 %") != std::string::npos);
  CHECK(percent_text(0.89999) == "89.9");
}

TEST_CASE("genes without a learnt vector are counted, and said where they are most") {
  GeneTable known = table;
  known.mark_learnt("ENSG00000000001\nENSG00000000002\n");
  const auto learnt = [&known](const std::vector<std::string>& ids) {
    return map_genes(ids, {}, known, mouse_map, any, "s.h5ad");
  };
  CHECK(map({"ENSG00000000001"}).coverage.learnt == -1);
  const auto half = learnt({"ENSG00000000001", "ENSG00000000003", "ENSMUSG00000000002", "ENSG00000000004"});
  CHECK(half.coverage.learnt == 2);
  CHECK(count_of(half, "STOFM-W4123") == 0);
  const auto few = learnt({"ENSG00000000001", "ENSG00000000003", "ENSG00000000004", "ENSG00000000777"});
  CHECK(few.coverage.learnt == 1);
  CHECK(count_of(few, "STOFM-W4123") == 2);
  CHECK(learnt({"ENSG00000000003"}).coverage.learnt == 0);
  CHECK(count_of(learnt({"ENSG00000000003"}), "STOFM-W4123") == 1);
}
