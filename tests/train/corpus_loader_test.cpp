// SPDX-License-Identifier: MIT
#include "stofm/train/corpus_loader.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/train/corpus_fixture.hpp"

namespace {

using namespace stofm;
using namespace stofm::test;
using train::Corpus;
using train::CorpusLoader;
using train::CorpusSampler;
using train::TrainingBatch;

std::vector<train::SlicePieces> everything(const Corpus& corpus) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(corpus.size()));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return corpus.pieces_of(all);
}

bool same_batch(const TrainingBatch& a, const TrainingBatch& b) {
  bool same = a.begin == b.begin && a.end == b.end && a.pieces.size() == b.pieces.size();
  for (std::size_t i = 0; same && i < a.pieces.size(); ++i)
    same = a.pieces[i].ref == b.pieces[i].ref && same_sample(a.pieces[i].sample, b.pieces[i].sample);
  return same;
}

}  // namespace

TEST_CASE("batches are the same at any number of threads, any read-ahead and any memory") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  std::vector<TrainingBatch> expected;
  for (const int threads : {0, 1, 4})
    for (const std::int64_t ahead : {1, 7, 50})
      for (const std::int64_t memory : {0, 1 << 30}) {
        auto options = tiny_corpus_options(dir / "cache");
        options.memory = memory;
        Corpus corpus(files, tiny_features(), text_reader(), options);
        CorpusLoader loader(corpus, CorpusSampler(everything(corpus), {.seed = 5, .batch = 3}),
                            {.masking_seed = 9, .threads = threads, .ahead = ahead});
        for (std::size_t b = 0; b < 9; ++b) {
          auto batch = loader.next();
          CHECK(batch.pieces.size() == 3);
          CHECK(loader.position() == batch.end);
          if (expected.size() < 9)
            expected.push_back(std::move(batch));
          else
            CHECK(same_batch(expected[b], batch));
        }
      }
}

TEST_CASE("a restored loader goes on bitwise, mid-epoch and over the end of one") {
  const ScratchDir dir;
  Corpus corpus(four_slices(dir), tiny_features(), text_reader(), tiny_corpus_options());
  const CorpusSampler sampler(everything(corpus), {.seed = 1, .batch = 2});
  CorpusLoader through(corpus, sampler, {.masking_seed = 3, .threads = 2, .ahead = 5});
  std::vector<TrainingBatch> all;
  std::vector<train::SamplerPosition> before;
  for (int b = 0; b < 14; ++b) {
    before.push_back(through.position());
    all.push_back(through.next());
  }
  CHECK(all.back().end.epoch >= 1);
  CorpusLoader other(corpus, sampler, {.masking_seed = 3});
  for (const std::size_t at : {3U, 0U, 6U, 7U, 10U}) {
    CAPTURE(at);
    other.restore(before[at]);
    CHECK(other.position() == before[at]);
    for (std::size_t b = at; b < at + 3; ++b) CHECK(same_batch(other.next(), all[b]));
  }
  CHECK_THROWS_AS(other.restore({0, 1000}), UsageError);
  CHECK(same_batch(other.next(), all[13]));  // a refused position changes nothing
  // The same piece has other masks in another epoch.
  for (const auto& a : all.front().pieces)
    for (const auto& batch : all)
      for (const auto& b : batch.pieces)
        if (a.ref.slice == b.ref.slice && a.ref.piece == b.ref.piece && a.ref.epoch != b.ref.epoch &&
            a.sample.usable())
          CHECK(!same_sample(a.sample, b.sample));
}

TEST_CASE(
    "flip_signs: whole columns change sign, in features and targets alike, and others in another epoch") {
  const ScratchDir dir;
  Corpus corpus(four_slices(dir), tiny_features(), text_reader(), tiny_corpus_options());
  const auto flipped_columns = [&](std::int64_t epoch) {
    const train::PieceRef ref{0, 0, epoch};
    const auto plain = train::load_piece(corpus, ref, {.masking_seed = 4}).sample;
    const auto flipped = train::load_piece(corpus, ref, {.masking_seed = 4, .flip_signs = true}).sample;
    REQUIRE(plain.usable());
    CHECK(plain.mcm_nodes == flipped.mcm_nodes);
    CHECK(plain.pair_targets == flipped.pair_targets);
    const std::int64_t width = plain.features.dim(1);
    std::vector<int> sign(static_cast<std::size_t>(width));
    const auto compare = [&](const Tensor<float>& a, const Tensor<float>& b) {
      for (std::int64_t i = 0; i < a.dim(0); ++i)
        for (std::int64_t c = 0; c < width; ++c) {
          const float before = a(i, c), after = b(i, c);
          if (before == 0 || before == train::masked_feature) {
            CHECK(after == before);
            continue;
          }
          int& found = sign[static_cast<std::size_t>(c)];
          if (found == 0) found = after == before ? 1 : -1;
          CHECK(after == static_cast<float>(found) * before);
        }
    };
    compare(plain.features, flipped.features);
    compare(plain.mcm_targets, flipped.mcm_targets);
    return sign;
  };
  std::vector<std::vector<int>> found;
  for (std::int64_t epoch = 0; epoch < 8; ++epoch) found.push_back(flipped_columns(epoch));
  CHECK(std::adjacent_find(found.begin(), found.end(), std::not_equal_to<>()) != found.end());
  CHECK(found[3] == flipped_columns(3));
}

TEST_CASE("ranks share the batches of one") {
  const ScratchDir dir;
  Corpus corpus(four_slices(dir), tiny_features(), text_reader(), tiny_corpus_options());
  CorpusLoader whole(corpus, CorpusSampler(everything(corpus), {.batch = 4}), {});
  CorpusLoader first(corpus, CorpusSampler(everything(corpus), {.batch = 2, .rank = 0, .ranks = 2}), {});
  CorpusLoader second(corpus, CorpusSampler(everything(corpus), {.batch = 2, .rank = 1, .ranks = 2}), {});
  for (int b = 0; b < 5; ++b) {
    const auto batch = whole.next();
    auto joined = first.next();
    for (auto& piece : second.next().pieces) joined.pieces.push_back(std::move(piece));
    CHECK(same_batch(batch, joined));
  }
}

TEST_CASE("fixed draws repeat in every epoch") {
  const ScratchDir dir;
  Corpus corpus(four_slices(dir), tiny_features(), text_reader(), tiny_corpus_options());
  const std::int64_t pieces = corpus.pieces();
  CorpusLoader loader(corpus, CorpusSampler(everything(corpus), {.batch = pieces, .shuffle = false}),
                      {.draws = train::MaskDraws::fixed});
  const auto one = loader.next(), two = loader.next();
  CHECK(two.begin.epoch == 1);
  for (std::size_t p = 0; p < static_cast<std::size_t>(pieces); ++p)
    CHECK(same_sample(one.pieces[p].sample, two.pieces[p].sample));
}

TEST_CASE("D37: pieces too small to mask are handed out as skipped, and counted") {
  const ScratchDir dir;
  auto options = tiny_corpus_options();
  options.prepare.embed.split = 6;
  Corpus corpus({write_slice(dir / "a.h5ad", 30)}, tiny_features(), text_reader(), options);
  CorpusLoader loader(corpus, CorpusSampler(everything(corpus), {.batch = corpus.pieces()}), {});
  const auto batch = loader.next();
  std::int64_t small = 0;
  for (const auto& piece : batch.pieces) {
    const auto cells = corpus.slice(0)->piece_cells(piece.ref.piece).size();
    CHECK(piece.sample.usable() == (cells > 8));
    small += cells <= 8;
  }
  CHECK(small > 0);
  CHECK(loader.skipped().too_few_cells == small);
  CHECK(batch.usable() == corpus.pieces() - small);
}

TEST_CASE("slices and nodes come along for joint training") {
  const ScratchDir dir;
  auto options = tiny_corpus_options();
  options.prepare.keep_tokens = true;
  Corpus corpus(four_slices(dir), tiny_features(), text_reader(), options);
  CorpusLoader loader(corpus, CorpusSampler(everything(corpus), {}), {.keep_slices = true});
  const auto piece = std::move(loader.next().pieces.front());
  REQUIRE(piece.slice);
  REQUIRE(static_cast<std::int64_t>(piece.node_cells.size()) == piece.sample.nodes());
  CHECK(piece.node_cells.front() == -1);
  CHECK(piece.slice->cell_tokens(piece.node_cells.back()).size() > 1);
}

TEST_CASE("what fails in the background arrives in its batch") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  auto options = tiny_corpus_options();
  options.memory = 0;
  for (const int threads : {0, 3}) {
    Corpus corpus(files, tiny_features(), text_reader(), options);
    write_slice(files[1], 151);
    CorpusLoader loader(corpus, CorpusSampler(everything(corpus), {.shuffle = false}), {.threads = threads});
    for (std::int64_t i = 0; i < corpus.pieces_of({0}).front().pieces; ++i) loader.next();
    CHECK_THROWS_AS(loader.next(), DataError);
    write_slice(files[1], 150, 30, 2);
  }
  Corpus corpus(files, tiny_features(), text_reader(), options);
  const CorpusSampler sampler(everything(corpus), {});
  CHECK_THROWS_AS(CorpusLoader(corpus, sampler, {.threads = -1}), UsageError);
  CHECK_THROWS_AS(CorpusLoader(corpus, sampler, {.ahead = 0}), UsageError);
  CHECK_THROWS_AS(CorpusLoader(corpus, sampler, {.masking = {.mcm_masked = 2}}), UsageError);
}
