// SPDX-License-Identifier: MIT
// The gene vocabulary and the mouse map: what they hold, and rows J10, J11, J13.
#include "stofm/pipeline/gene_table.hpp"

#include <doctest/doctest.h>

#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using namespace stofm::pipeline;
using stofm::test::bytes_of;

namespace {
const std::string header = "ensembl_id\tsymbols\ttoken\tmedian\n";

/// Code of the refusal of a table, and that the message has the word.
std::string refusal(const std::string& rows, const std::string& word) {
  try {
    GeneTable::parse(rows, "t.tsv");
  } catch (const FileError& e) {
    CHECK(e.file() == "t.tsv");
    CHECK_MESSAGE(std::string(e.what()).find(word) != std::string::npos, e.what());
    CHECK_FALSE(e.remedy().empty());
    return e.code();
  }
  return "accepted";
}
}  // namespace

TEST_CASE("the shipped table has 25,424 genes and <cls> after them") {
  const auto text = bytes_of(test::source_dir() / "weights_tools/genes/genes.tsv");
  const auto table = GeneTable::parse(text);
  CHECK(table.genes() == 25424);
  CHECK(table.cls_token == 25426);
  CHECK(table.vocabulary_size() == 25427);
  CHECK(table.ensembl_ids[0] == "ENSG00000000003");
  CHECK(table.medians[0] == 2.001186019549122);
  CHECK(table.tokens[static_cast<std::size_t>(table.row_of_symbol.at("DPM1"))] == 4);
  CHECK(table.row_of_symbol.size() == 25424 - 4179);
  CHECK(table.row_of_upper_symbol.at("C1ORF112") == table.row_of_symbol.at("C1orf112"));
  const auto map =
      MouseMap::parse(bytes_of(test::source_dir() / "weights_tools/genes/mouse_to_human.tsv"), table);
  CHECK(map.human_of_mouse.size() == 20473);
  CHECK(map.human_of_mouse.at("ENSMUSG00000064341") == "ENSG00000198888");
  REQUIRE(map.notices.size() == 2);
  CHECK(map.notices[0].count == 20473 - 18180);  // 20,473 keys onto 18,180 human ids
}

TEST_CASE("line ends, special rows and any row order are accepted") {
  const auto table = GeneTable::parse(
      "ensembl_id\tsymbols\ttoken\tmedian\r\n<cls>\t\t4\t\r\nG3\tC\t3\t2.5\r\n"
      "<pad>\t\t0\t\r\n<mask>\t\t1\t\r\nG2\t\t2\t1e-3");
  CHECK(table.genes() == 2);
  CHECK(table.cls_token == 4);
  CHECK(table.tokens == std::vector<std::int32_t>{3, 2});
  CHECK(table.medians == std::vector<double>{2.5, 1e-3});
}

TEST_CASE("genes whose vectors were learnt are marked by their ids; without a list nothing is said") {
  auto table = GeneTable::parse(header + "G2\tA\t2\t1\nG3\tB\t3\t1\nG4\tC\t4\t1\n");
  CHECK(table.learnt.empty());
  table.mark_learnt("G4\r\nG2\n");
  CHECK(table.learnt == std::vector<std::uint8_t>{1, 0, 1});
  table.mark_learnt("");
  CHECK(table.learnt.empty());
  CHECK_THROWS_WITH_AS(table.mark_learnt("G2\nG5\n", "w: genes/learnt"),
                       doctest::Contains("w: genes/learnt: line 2: found gene \"G5\""), FileError);
}

TEST_CASE("J10: token ids that are doubled, missing, negative or too large are refused") {
  CHECK(refusal(header + "A\ta\t2\t1\nB\tb\t2\t1\n", "token 2") == "STOFM-4105");
  CHECK(refusal(header + "A\ta\t2\t1\nB\tb\t4\t1\n", "token 3") == "STOFM-4110");
  CHECK(refusal(header + "A\ta\t-1\t1\n", "-1") == "STOFM-4104");
  CHECK(refusal(header + "A\ta\t2147483648\t1\n", "2147483648") == "STOFM-4104");
  CHECK(refusal(header + "A\ta\t99999999999999999999\t1\n", "2^31") == "STOFM-4104");
  CHECK(refusal(header + "A\ta\t2.5\t1\n", "integer") == "STOFM-4104");
  CHECK(refusal(header + "A\ta\t\t1\n", "integer") == "STOFM-4104");
  CHECK(refusal(header + "A\ta\t1\t1\n", "<mask>") == "STOFM-4106");
  CHECK(refusal(header + "A\ta\t0\t1\n", "<pad>") == "STOFM-4106");
  CHECK(refusal(header + "<pad>\t\t0\t\n<mask>\t\t1\t\nA\ta\t2\t1\n", "<cls>") == "STOFM-4111");
  CHECK(refusal(header + "<pad>\t\t0\t\n<mask>\t\t1\t\n<cls>\t\t9\t\nA\ta\t2\t1\n", "token 9") ==
        "STOFM-4111");
  CHECK(refusal(header + "A\ta\t2\t1\nA\tb\t3\t1\n", "second time") == "STOFM-4108");
  CHECK(refusal(header, "no gene") == "STOFM-4109");
}

TEST_CASE("J11: a median that is 0, negative, not finite or missing is refused") {
  for (const std::string median : {"0", "-1", "nan", "inf", "-inf", "1e999", "", "1,5", "1 ", "x"})
    CHECK_MESSAGE(refusal(header + "A\ta\t2\t" + median + "\n", "\"A\"") == "STOFM-4107", median);
}

TEST_CASE("malformed lines and headers are refused with their line") {
  CHECK(refusal("", "header") == "STOFM-4102");
  CHECK(refusal("a\tb\tc\td\n", "header") == "STOFM-4102");
  CHECK(refusal(header + "A\ta\t2\t1\nB\tb\t3\n", "line 3") == "STOFM-4101");
  CHECK(refusal(header + "A\ta\t2\t1\t5\n", "line 2") == "STOFM-4101");
  CHECK(refusal(header + "\ta\t2\t1\n", "empty gene id") == "STOFM-4103");
  CHECK(refusal(header + "\x1b[31m\n", "\\x1b") == "STOFM-4101");
}

TEST_CASE("J13: many-to-one and unknown targets of the mouse map are counted, nonsense is refused") {
  const auto table = GeneTable::parse(header + "H1\ta\t2\t1\nH2\tb\t3\t1\n");
  const std::string map_header = "mouse_ensembl_id\thuman_ensembl_id\n";
  const auto map = MouseMap::parse(map_header + "M1\tH1\nM2\tH1\nM3\tH9\n", table);
  REQUIRE(map.notices.size() == 2);
  CHECK(map.notices[0].count == 1);
  CHECK(map.notices[1].count == 1);
  CHECK(MouseMap::parse("", table).empty());
  CHECK_THROWS_AS(MouseMap::parse(map_header + "M1\tH1\nM1\tH2\n", table), FileError);
  CHECK_THROWS_AS(MouseMap::parse(map_header + "M1\n", table), FileError);
  CHECK_THROWS_AS(MouseMap::parse(map_header + "\tH1\n", table), FileError);
}

TEST_CASE("a table cut at any byte is refused or read up to there, nothing else happens") {
  const std::string whole = header + "G1\ta\t2\t1.5\nG2\tb\t3\t2.5\n";
  int accepted = 0;
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    bool explained = true;
    try {
      GeneTable::parse(whole.substr(0, cut));
      ++accepted;
    } catch (const FileError& e) {
      explained = !e.remedy().empty();
    }
    CHECK(explained);
  }
  CHECK(accepted == 7);  // after "1", "1.", "1.5" and its line end; after "2", "2.", "2.5"
}
