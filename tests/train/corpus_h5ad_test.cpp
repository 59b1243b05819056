// SPDX-License-Identifier: MIT
// Two real slices of different panels as a corpus: osmFISH (33 genes) and Xenium (248 genes), mouse cortex.
#include "stofm/train/corpus_h5ad.hpp"

#include <doctest/doctest.h>

#include <set>

#include "tests/train/corpus_fixture.hpp"

namespace {

using namespace stofm;
using namespace stofm::test;

const std::vector<std::filesystem::path> real_slices{
    source_dir() / "tests" / "data" / "osmfish_sscortex_6471.h5ad",
    source_dir() / "examples" / "data" / "xenium_mousebrain_4261.h5ad"};

/// Features over a vocabulary of all genes of the slices.
train::CellFeatures features_for(const std::vector<std::filesystem::path>& files, std::int64_t width) {
  std::set<std::string> ids;
  for (const auto& path : files) {
    const io::Slice slice = io::read_h5ad(path.string());
    for (const auto& id : slice.gene_ids)
      if (pipeline::classify_gene_name(id).kind == pipeline::GeneNameKind::human_gene) ids.insert(id);
  }
  std::string genes = "ensembl_id\tsymbols\ttoken\tmedian\n";
  std::int64_t token = 2;
  for (const auto& id : ids) genes += concat(id, "\t\t", token++, "\t1\n");
  auto table = std::make_shared<pipeline::GeneTable>(pipeline::GeneTable::parse(genes));
  auto map = std::make_shared<pipeline::MouseMap>();
  return train::linear_gene_features(table, map, io::sha256_hex(genes), {.width = width});
}

}  // namespace

TEST_CASE("two real slices of different panels become one corpus, the same from files and from the cache") {
  const ScratchDir dir;
  const auto features = features_for(real_slices, 64);
  train::CorpusOptions options;
  options.cache = dir / "cache";
  options.prepare.keep_tokens = true;
  train::Corpus cold(real_slices, features, train::h5ad_reader(), options);
  train::Corpus warm(real_slices, features, train::h5ad_reader(), options);
  MESSAGE("prepared in ", cold.report().seconds, " s, from the cache in ", warm.report().seconds, " s");
  CHECK(cold.report().prepared == 2);
  CHECK(warm.report().from_cache == 2);
  CHECK(cold.entries()[0].summary.cells == 6471);
  CHECK(cold.entries()[1].name == "xenium_mousebrain_4261");
  for (std::int64_t i = 0; i < 2; ++i) {
    CHECK(same_slice(*cold.slice(i), *warm.slice(i)));
    CHECK(cold.slice(i)->frames.front().virtual_xy.dim(0) > 3);
  }
  CHECK(warm.loads() == 2);

  const std::vector<train::SlicePieces> pieces = warm.pieces_of({0, 1});
  CHECK(pieces[0].pieces + pieces[1].pieces >= 11);
  train::CorpusLoader loader(warm, train::CorpusSampler(pieces, {.batch = 4}), {.threads = 2});
  train::CorpusLoader again(cold, train::CorpusSampler(pieces, {.batch = 4}), {.threads = 0});
  std::int64_t usable = 0;
  for (int b = 0; b < 3; ++b) {
    const auto batch = loader.next(), other = again.next();
    usable += batch.usable();
    for (std::size_t p = 0; p < 4; ++p) {
      const auto& sample = batch.pieces[p].sample;
      CHECK(same_sample(sample, other.pieces[p].sample));
      const auto cells = warm.slice(batch.pieces[p].ref.slice)->piece_cells(batch.pieces[p].ref.piece).size();
      REQUIRE(sample.usable() == (cells > 8));  // squares at the edge may hold a few cells only
      CHECK(sample.mcm_nodes.size() >= (sample.usable() ? cells / 9 : 0));
      CHECK(sample.pair_rows.size() >= (sample.usable() ? cells : 0));
      for (const float d : sample.pair_targets) REQUIRE((d > 0 && d < 100));
    }
  }
  CHECK(usable >= 9);
  const auto begin = std::chrono::steady_clock::now();
  for (int repeat = 0; repeat < 10; ++repeat) train::load_piece(warm, {0, 2, repeat}, {});
  MESSAGE("a piece of ", warm.slice(0)->piece_cells(2).size(), " cells is masked in ",
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count() / 10,
          " ms");
  CHECK(loader.skipped().too_few_cells == 12 - usable);
}

TEST_CASE("an .h5ad that is none is skipped or named") {
  const ScratchDir dir;
  std::filesystem::copy_file(real_slices[0], dir / "cut.h5ad");
  std::filesystem::resize_file(dir / "cut.h5ad", 300000);
  const std::vector<std::filesystem::path> files{dir / "cut.h5ad", real_slices[1]};
  const auto features = features_for({real_slices[1]}, 8);
  CHECK_THROWS_WITH_AS(train::Corpus(files, features, train::h5ad_reader()), doctest::Contains("cut.h5ad"),
                       FileError);
  const train::Corpus corpus(files, features, train::h5ad_reader(), {.skip_bad = true});
  CHECK(corpus.size() == 1);
  CHECK(corpus.report().skipped_bad == 1);
  io::H5adReadOptions read;
  read.layer = "counts";
  CHECK(train::h5ad_reader(read).identity != train::h5ad_reader().identity);
  read.coordinates = Tensor<double>::zeros({2, 2});
  CHECK_THROWS_AS(train::h5ad_reader(read), UsageError);
}
