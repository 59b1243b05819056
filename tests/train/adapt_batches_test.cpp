// SPDX-License-Identifier: MIT
#include "stofm/train/adapt_batches.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <set>

#include "tests/support/paths.hpp"

namespace {

using namespace stofm;
using stofm::test::ScratchDir;

/// Slices in memory: "12" has 12 cells, and one more without a gene.
io::Slice open_slice(const std::filesystem::path& path) {
  io::Slice slice;
  slice.path = path.string();
  const std::int64_t cells = std::stoll(path.string());
  slice.cells = cells + 1;
  for (int g = 0; g < 8; ++g) slice.gene_ids.push_back(concat("ENSG0000000000", g));
  slice.read_counts = [cells](std::int64_t begin, std::int64_t end) {
    io::CountRows rows;
    rows.first_row = begin;
    for (std::int64_t cell = begin; cell < end; ++cell) {
      for (std::int32_t g = 0; cell < cells && g < 6; ++g) {
        rows.columns.push_back(g + static_cast<std::int32_t>(cell % 2));
        rows.values.push_back(static_cast<double>(1 + (cell + g) % 5));
      }
      rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
    }
    return rows;
  };
  return slice;
}

std::shared_ptr<const pipeline::GeneTable> gene_table() {
  std::string text = "ensembl_id\tsymbols\ttoken\tmedian\n";
  for (int g = 0; g < 8; ++g) text += concat("ENSG0000000000", g, "\tG", g, "\t", g + 2, "\t1.0\n");
  return std::make_shared<pipeline::GeneTable>(pipeline::GeneTable::parse(text));
}

train::TokenCorpus make_corpus(const std::vector<std::filesystem::path>& files,
                               const train::TokenCorpusOptions& options = {}) {
  return train::TokenCorpus(files, open_slice, gene_table(), std::make_shared<pipeline::MouseMap>(), options);
}

/// (slice, cell) of the batches of some epochs.
std::vector<std::vector<std::int64_t>> draw(train::CellBatches& batches, std::int64_t count) {
  std::vector<std::vector<std::int64_t>> result;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto batch = batches.next();
    result.push_back({batch.epoch, batch.slice});
    result.back().insert(result.back().end(), batch.cells.begin(), batch.cells.end());
  }
  return result;
}

}  // namespace

TEST_CASE("cells without enough genes are left out, the others are tokens") {
  train::TokenCorpus corpus = make_corpus({"12"});
  CHECK(corpus.cells() == 12);
  const auto slice = corpus.slice(0);
  CHECK(slice->left_out == 1);
  CHECK(slice->panel->size() == 8);
  CHECK(slice->offsets[1] == 7);
  CHECK(slice->tokens[0] == 10);
  CHECK_THROWS_AS(make_corpus({"12"}, {.slices = {.min_genes = 7}}), DataError);
  CHECK(make_corpus({"0", "12"}, {.skip_bad = true}).notices().size() >= 1);
  CHECK_THROWS_AS(make_corpus({"0", "12"}), DataError);
}

TEST_CASE("an epoch visits every cell once, in batches of one slice, and each epoch in another order") {
  train::TokenCorpus corpus = make_corpus({"12", "50", "7"});
  train::CellBatches batches(corpus, {.seed = 4, .cells = 8, .slices_at_once = 2});
  CHECK(batches.batches_per_epoch() == 2 + 7 + 1);
  std::vector<std::vector<std::int64_t>> epochs[2];
  for (auto& epoch : epochs) {
    epoch = draw(batches, batches.batches_per_epoch());
    std::map<std::int64_t, std::set<std::int64_t>> seen;
    for (const auto& batch : epoch)
      for (std::size_t i = 2; i < batch.size(); ++i) CHECK(seen[batch[1]].insert(batch[i]).second);
    CHECK(seen[0].size() == 12);
    CHECK(seen[1].size() == 50);
    CHECK(seen[2].size() == 7);
  }
  CHECK(epochs[0].front()[0] == 0);
  CHECK(epochs[1].front()[0] == 1);
  for (auto& batch : epochs[1]) batch[0] = 0;
  CHECK(epochs[0] != epochs[1]);
}

TEST_CASE("a restored position goes on with the same cells, and memory changes nothing") {
  train::TokenCorpus corpus = make_corpus({"12", "50", "7"}),
                     small = make_corpus({"12", "50", "7"}, {.memory = 1});
  const train::CellBatchOptions options{.seed = 4, .cells = 8};
  train::CellBatches batches(corpus, options), resumed(small, options);
  draw(batches, 13);
  resumed.restore(batches.position());
  CHECK(draw(batches, 17) == draw(resumed, 17));
  CHECK_THROWS_AS(resumed.restore({0, 11}), UsageError);
}

TEST_CASE("processes share an epoch without overlap") {
  train::TokenCorpus corpus = make_corpus({"12", "50", "7"});
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (const std::int64_t rank : {0, 1, 2}) {
    train::CellBatches batches(corpus, {.seed = 4, .cells = 8, .rank = rank, .ranks = 3});
    CHECK(batches.batches_per_epoch() == 3);
    for (const auto& batch : draw(batches, 3))
      for (std::size_t i = 2; i < batch.size(); ++i) CHECK(seen.insert({batch[1], batch[i]}).second);
  }
  CHECK_THROWS_AS(train::CellBatches(corpus, {.cells = 0}), UsageError);
  CHECK_THROWS_AS(train::CellBatches(corpus, {.cells = 100, .rank = 0, .ranks = 4}), UsageError);
}

TEST_CASE("slices of long cells have smaller batches") {
  train::TokenCorpus corpus = make_corpus({"50"});
  train::CellBatches batches(corpus, {.cells = 50, .tokens = 70});
  CHECK(batches.next().size() == 10);
}

TEST_CASE("files whose cells are known are not read before they are needed, and batches are the same") {
  std::vector<std::string> opened;
  const ScratchDir dir;
  const auto file = dir / "12";
  std::ofstream(file) << "x";
  const io::FileIdentity is = io::file_identity(file.string());
  const auto known = std::make_shared<train::KnownFiles>();
  known->add(file, {is.bytes, is.modified_ns, "", "genes", 12, 84});
  const auto make = [&](const train::TokenCorpusOptions& options) {
    return train::TokenCorpus(
        {file},
        [&](const std::filesystem::path& path) {
          opened.push_back(path.string());
          return open_slice(path.filename());
        },
        gene_table(), std::make_shared<pipeline::MouseMap>(), options);
  };
  train::TokenCorpus lazy = make({.known = known, .vocabulary = "genes"});
  CHECK(opened.empty());
  train::TokenCorpus eager = make({.known = known, .vocabulary = "others"});
  CHECK(opened.size() == 1);
  CHECK(lazy.cells() == eager.cells());
  CHECK(lazy.entries()[0].tokens == eager.entries()[0].tokens);
  train::CellBatches a(lazy, {.cells = 5}), b(eager, {.cells = 5});
  CHECK(draw(a, 7) == draw(b, 7));
  std::ofstream(file) << "written since";
  CHECK(make({.known = known, .vocabulary = "genes"}).cells() == 12);
  CHECK(opened.size() == 3);  // one for the batches of the first, one for this
  const auto wrong = std::make_shared<train::KnownFiles>();
  const io::FileIdentity now = io::file_identity(file.string());
  wrong->add(file, {now.bytes, now.modified_ns, "", "genes", 11, 84});
  train::TokenCorpus other = make({.known = wrong, .vocabulary = "genes"});
  CHECK_THROWS_AS(other.slice(0), DataError);
}
