// SPDX-License-Identifier: MIT
// Rank-value encoding against its definition written naively, and rows D05, D07, D08, D13, D17 to D20.
#include "stofm/pipeline/gene_tokenizer.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "stofm/core/random.hpp"

using namespace stofm;
using namespace stofm::pipeline;

namespace {
using Tokens = std::vector<std::int32_t>;

/// Genes 0 .. n-1 have tokens 2, 3, ... but for every `hole`-th, which is outside the vocabulary.
GeneMapping mapping_of(std::int64_t genes, std::int64_t hole = INT64_MAX) {
  GeneMapping m;
  for (std::int64_t g = 0; g < genes; ++g) {
    const bool out = g % hole == hole - 1;
    m.tokens.push_back(out ? -1 : static_cast<std::int32_t>(g + 2));
    m.medians.push_back(out ? 0 : 0.5 + 0.37 * static_cast<double>(g % 11));
    m.summed_into.push_back(static_cast<std::int32_t>(g));
    m.counted.push_back(1);
  }
  m.cls_token = static_cast<std::int32_t>(genes + 2);
  return m;
}

io::CountRows rows_of(const std::vector<std::vector<std::pair<std::int32_t, double>>>& cells,
                      std::int64_t first = 0) {
  io::CountRows rows;
  rows.first_row = first;
  for (const auto& cell : cells) {
    for (const auto& [column, value] : cell) {
      rows.columns.push_back(column);
      rows.values.push_back(value);
    }
    rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
  }
  return rows;
}

std::vector<std::vector<std::pair<std::int32_t, double>>> random_cells(std::int64_t cells, std::int64_t genes,
                                                                       bool fractional) {
  Random random(5);
  std::vector<std::vector<std::pair<std::int32_t, double>>> result(static_cast<std::size_t>(cells));
  for (auto& cell : result)
    for (std::int64_t g = 0; g < genes; ++g)
      if (random.uniform() < 0.4)
        cell.emplace_back(static_cast<std::int32_t>(g),
                          fractional ? random.uniform() * 7 : static_cast<double>(1 + random.below(4)));
  return result;
}
}  // namespace

TEST_CASE("tokens and values are what the definition says, on a dense double loop") {
  const auto m = mapping_of(40, 7);
  const auto cells = random_cells(300, 40, false);
  const auto result = tokenize(rows_of(cells), m, {.keep_values = true});
  REQUIRE(result.cells() == 300);
  for (std::size_t c = 0; c < cells.size(); ++c) {
    double total = 0;
    for (const auto& [g, count] : cells[c]) total += count;
    std::vector<std::pair<double, std::int32_t>> ranked;
    for (const auto& [g, count] : cells[c])
      if (m.tokens[static_cast<std::size_t>(g)] >= 0)
        ranked.emplace_back(count / total * 10000 / m.medians[static_cast<std::size_t>(g)], g);
    std::stable_sort(ranked.begin(), ranked.end(), [](auto& a, auto& b) { return a.first > b.first; });
    const auto begin = static_cast<std::size_t>(result.offsets[c]),
               end = static_cast<std::size_t>(result.offsets[c + 1]);
    REQUIRE(end - begin == ranked.size() + 1);
    CHECK(result.tokens[begin] == m.cls_token);
    CHECK(result.values[begin] == std::numeric_limits<double>::infinity());
    bool same = true;
    for (std::size_t i = 0; i < ranked.size(); ++i)
      same = same && result.tokens[begin + 1 + i] == m.tokens[static_cast<std::size_t>(ranked[i].second)] &&
             result.values[begin + 1 + i] == ranked[i].first;
    CHECK(same);
  }
}

TEST_CASE("the order of a row, the blocks and the threads do not matter, bit for bit") {
  const auto m = mapping_of(50, 9);
  auto cells = random_cells(500, 50, true);
  const TokenizerOptions options{.keep_values = true};
  set_thread_count(1);
  const auto expected = tokenize(rows_of(cells), m, options);
  for (const int threads : {2, 4}) {
    set_thread_count(threads);
    const auto again = tokenize(rows_of(cells), m, options);
    CHECK(again.tokens == expected.tokens);
    CHECK(again.values == expected.values);
    CHECK(again.offsets == expected.offsets);
  }
  std::size_t token = 0;
  for (std::size_t c = 0; c < 500; c += 100) {
    const auto block = tokenize(rows_of({cells.begin() + static_cast<std::ptrdiff_t>(c),
                                         cells.begin() + static_cast<std::ptrdiff_t>(c + 100)},
                                        static_cast<std::int64_t>(c)),
                                m, options);
    bool same = true;
    for (const auto t : block.tokens) same = same && t == expected.tokens[token++];
    CHECK(same);
  }
  for (auto& cell : cells) std::reverse(cell.begin(), cell.end());
  const auto reversed = tokenize(rows_of(cells), m, options);
  CHECK(reversed.tokens == expected.tokens);
  CHECK(reversed.values == expected.values);
}

TEST_CASE("D05, D07: a cell without counts or without vocabulary genes is <cls> and listed") {
  auto m = mapping_of(6, 3);  // genes 2 and 5 are unknown
  m.tokens[0] = -1;
  m.counted[0] = 0;  // a control feature
  const auto result = tokenize(rows_of({{}, {{2, 4}, {5, 1}}, {{1, 1}}, {{0, 9}}, {{1, 0}}}, 100), m);
  CHECK(result.offsets == std::vector<std::int64_t>{0, 1, 2, 4, 5, 6});
  CHECK(result.tokens == Tokens{8, 8, 8, 3, 8, 8});
  CHECK(result.zero_count_cells == std::vector<std::int64_t>{100, 103, 104});
  CHECK(result.no_gene_cells == std::vector<std::int64_t>{101});
  CHECK(result.values.empty());
}

TEST_CASE("unknown genes enter the total, control features do not") {
  auto m = mapping_of(3, 2);  // gene 1 unknown
  const TokenizerOptions options{.keep_values = true};
  CHECK(tokenize(rows_of({{{0, 1}, {1, 3}}}), m, options).values[1] == 1.0 / 4 * 10000 / m.medians[0]);
  m.counted[1] = 0;
  CHECK(tokenize(rows_of({{{0, 1}, {1, 3}}}), m, options).values[1] == 1.0 / 1 * 10000 / m.medians[0]);
}

TEST_CASE("D08: long cells keep their highest ranks; the cut counts <cls>") {
  const auto m = mapping_of(3000);
  std::vector<std::pair<std::int32_t, double>> cell;
  for (std::int32_t g = 0; g < 3000; ++g) cell.emplace_back(g, 1 + (g * 7919) % 23);
  const auto rows = rows_of({cell, {cell.begin(), cell.begin() + 2047}, {cell.begin(), cell.begin() + 2048}});
  const auto all = tokenize(rows, m, {.max_tokens = 100000});
  const auto cut = tokenize(rows, m);
  CHECK(all.truncated_cells == 0);
  CHECK(cut.truncated_cells == 2);
  CHECK(cut.offsets == std::vector<std::int64_t>{0, 2048, 4096, 6144});
  CHECK(std::equal(cut.tokens.begin(), cut.tokens.begin() + 2048, all.tokens.begin()));
  CHECK(tokenize(rows, m, {.max_tokens = 1}).tokens == Tokens{3002, 3002, 3002});
  CHECK_THROWS_AS(tokenize(rows, m, {.max_tokens = 0}), UsageError);
}

TEST_CASE("D13: duplicate columns are summed before ranking") {
  auto m = mapping_of(4);
  m.tokens[3] = m.tokens[0];
  m.medians = {1, 1, 1, 1};
  const auto rows = rows_of({{{0, 2}, {1, 3}, {2, 4}, {3, 3}}, {{3, 5}, {1, 1}}});
  CHECK(tokenize(rows, m).tokens == Tokens{6, 4, 3, 2, 2, 6, 2, 3});  // not summed: token 2 twice
  m.summed_into[3] = 0;
  m.any_summed = true;
  CHECK(tokenize(rows, m).tokens == Tokens{6, 2, 4, 3, 6, 2, 3});
}

TEST_CASE("rows whose lists do not fit each other are refused before they are used") {
  const GeneMapping mapping = mapping_of(8);
  const io::CountRows good = rows_of({{{0, 1.0}, {3, 2.0}}, {{1, 5.0}}, {}});
  const auto refuse = [&](const io::CountRows& rows, const char* word) {
    try {
      (void)tokenize(rows, mapping, {}, "f.h5ad");
      FAIL_CHECK("accepted: " << word);
    } catch (const DataError& error) {
      CHECK(error.code() == "STOFM-4320");
      CHECK(std::string(error.what()).find(word) != std::string::npos);
    }
  };
  CHECK(tokenize(good, mapping, {}).cells() == 3);
  io::CountRows rows = good;
  rows.offsets = {0, 2, 3, 4000};
  refuse(rows, "up to 4000");
  rows.offsets = {0, 3, 2, 3};
  refuse(rows, "do not decrease");
  rows.offsets = {1, 2, 3, 3};
  refuse(rows, "start with 0");
  rows.offsets = {};
  refuse(rows, "no offsets");
  rows = good;
  rows.values.pop_back();
  refuse(rows, "2 values");
  rows = good;
  rows.columns.push_back(1);
  refuse(rows, "4 columns");
}

TEST_CASE("D17: a count that is negative or no number is refused with its place") {
  const auto m = mapping_of(3);
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    try {
      tokenize(rows_of({{{0, 1}}, {{2, bad}}}, 10), m, {}, "s.h5ad");
      FAIL("accepted");
    } catch (const DataError& e) {
      CHECK(e.code() == "STOFM-4131");
      CHECK(e.where() == "cell 11, gene column 2");
      CHECK(e.file() == "s.h5ad");
    }
  }
  CHECK_THROWS_AS(tokenize(rows_of({{{3, 1}}}), m), DataError);
  CHECK_THROWS_AS(tokenize(rows_of({{{-1, 1}}}), m), DataError);
  CHECK_THROWS_AS(tokenize(rows_of({{{0, 1e308}, {1, 1e308}}}), m), DataError);
}

TEST_CASE("D18, D19, D20: huge counts stay exact, ties keep the order of the columns") {
  auto m = mapping_of(5);
  m.medians = {1, 1, 1, 1, 1};
  const double big = 16777217;  // 2^24 + 1 is not a float
  CHECK(tokenize(rows_of({{{0, big - 1}, {1, big}}}), m).tokens == Tokens{7, 3, 2});
  CHECK(tokenize(rows_of({{{0, 4294967297.0}, {1, 4294967298.0}}}), m).tokens == Tokens{7, 3, 2});
  CHECK(tokenize(rows_of({{{4, 3}, {2, 3}, {0, 3}, {1, 3}}}), m).tokens == Tokens{7, 2, 3, 4, 6});
  m.medians = {2, 1, 4, 1, 1};  // scaled values meet
  CHECK(tokenize(rows_of({{{0, 2}, {1, 1}, {2, 4}}}), m).tokens == Tokens{7, 2, 3, 4});
}
