// SPDX-License-Identifier: MIT
#include "stofm/train/corpus.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include "stofm/pipeline/embed.hpp"
#include "stofm/train/corpus_files.hpp"
#include "tests/train/corpus_fixture.hpp"

namespace {

using namespace stofm;
using namespace stofm::test;
using train::Corpus;

}  // namespace

TEST_CASE("a prepared slice holds what embedding would compute, piece by piece") {
  const auto model = tiny_model();
  const auto slice = slice_at(scattered(150));
  train::PrepareOptions options;
  options.embed.split = 40;
  options.keep_tokens = true;
  const auto prepared = train::prepare_slice(slice, train::encoder_features(model, "tiny"), options);
  CHECK(prepared.cells() == 150);
  CHECK(prepared.pieces() > 3);
  const auto cells_only =
      pipeline::embed_slice(slice, model, {.target = pipeline::EmbedTarget::cells_only}).embeddings;
  CHECK(same_bits(prepared.features, cells_only));

  // Through the SE(2) Transformer, its pieces give what embed_slice gives.
  const auto embedded = pipeline::embed_slice(slice, model, options.embed);
  std::vector<int> seen(150, 0);
  for (std::int64_t p = 0; p < prepared.pieces(); ++p) {
    const auto sub = prepared.sub_slice(p);
    const auto nodes = prepared.node_features(sub, p);
    const auto states = model.se2->forward(std::as_const(nodes).view(), sub.distances, sub.token_types);
    const auto cells = prepared.piece_cells(p);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      ++seen[static_cast<std::size_t>(cells[i])];
      CHECK(sub.node_cells[static_cast<std::size_t>(sub.first_cell()) + i] == cells[i]);
      for (std::int64_t c = 0; c < 8; ++c)
        CHECK(states.last_hidden_state(sub.first_cell() + static_cast<std::int64_t>(i), c) ==
              embedded.embeddings(cells[i], c));
    }
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  CHECK(prepared.frames[0].labels == embedded.macro_labels);

  const auto first = prepared.cell_tokens(0);
  CHECK(first[0] == model.genes->cls_token);
  CHECK(prepared.token_offsets.size() == 151);
  CHECK_THROWS_AS(prepared.cell_tokens(150), ShapeError);
  CHECK_THROWS_AS(prepared.sub_slice(prepared.pieces()), ShapeError);
  CHECK_THROWS_AS(prepared.sub_slice(-1), ShapeError);
  options.keep_tokens = false;
  CHECK_THROWS_AS(train::prepare_slice(slice, tiny_features(), options).cell_tokens(0), UsageError);
}

TEST_CASE("libraries of one file have frames of their own") {
  auto slice = slice_at(scattered(120));
  slice.library_names = {"left", "none", "right"};
  for (std::int64_t i = 0; i < 120; ++i) slice.library.push_back(i % 3 == 0 ? 2 : 0);
  train::PrepareOptions options;
  options.embed.split = 30;
  const auto prepared = train::prepare_slice(slice, tiny_features(), options);
  REQUIRE(prepared.frames.size() == 2);
  CHECK(prepared.frames[0].cells.size() == 80);
  CHECK(prepared.frames[1].cells[1] == 3);
  std::vector<int> seen(120, 0);
  for (std::int64_t p = 0; p < prepared.pieces(); ++p) {
    const auto sub = prepared.sub_slice(p);
    const auto nodes = prepared.node_features(sub, p);
    for (const std::int64_t cell : prepared.piece_cells(p)) ++seen[static_cast<std::size_t>(cell)];
    const std::int64_t cell = sub.node_cells.back();
    CHECK(nodes(sub.nodes() - 1, 3) == prepared.features(cell, 3));
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
}

TEST_CASE("slivers are merged on demand, inside their library") {
  std::vector<std::pair<double, double>> xy;
  for (int i = 0; i < 400; ++i) xy.emplace_back(i % 20, i / 20);
  for (int i = 0; i < 3; ++i) xy.emplace_back(21.0, 6.0 * i);
  const auto slice = slice_at(xy);
  train::PrepareOptions options;
  options.embed.split = 100;
  const auto plain = train::prepare_slice(slice, tiny_features(), options);
  options.embed.merge_slivers = true;
  const auto merged = train::prepare_slice(slice, tiny_features(), options);
  CHECK(merged.pieces() < plain.pieces());
  std::vector<int> seen(xy.size(), 0);
  for (std::int64_t p = 0; p < merged.pieces(); ++p) {
    const auto cells = merged.piece_cells(p);
    CHECK(cells.size() >= 10);
    for (const std::int64_t cell : cells) ++seen[static_cast<std::size_t>(cell)];
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
}

TEST_CASE("linear gene features are unit rows that tell cells apart, the same gene by gene in every panel") {
  const auto slice = slice_at(scattered(90));
  const auto prepared = train::prepare_slice(slice, tiny_features(64), {});
  double cosines = 0;
  for (std::int64_t i = 0; i < 90; ++i) {
    double norm = 0, with_next = 0;
    for (std::int64_t c = 0; c < 64; ++c) {
      norm += std::pow(static_cast<double>(prepared.features(i, c)), 2);
      with_next += static_cast<double>(prepared.features(i, c)) *
                   static_cast<double>(prepared.features((i + 1) % 90, c));
    }
    CHECK(norm == doctest::Approx(1).epsilon(1e-5));
    cosines += with_next / 90;
  }
  CHECK(std::abs(cosines) < 0.3);  // centred
  // One gene, two panels: the same direction.
  const auto model = tiny_model();
  const auto features =
      train::linear_gene_features(model.genes, model.mouse_map, "t", {.width = 16, .centre = false});
  const auto wide = make_slice({{{5, 3.0}}, {{7, 1.0}}}, {{0, 0}, {1, 1}}, 30);
  auto narrow = make_slice({{{0, 9.0}}, {{1, 1.0}}}, {{0, 0}, {1, 1}}, 2);
  narrow.gene_ids = {gene_id(5), gene_id(9)};
  const auto a = train::prepare_slice(wide, features), b = train::prepare_slice(narrow, features);
  for (std::int64_t c = 0; c < 16; ++c)
    CHECK(a.features(0, c) == doctest::Approx(b.features(0, c)).epsilon(1e-5));
  CHECK(a.features(1, 0) != doctest::Approx(b.features(1, 0)));
}

TEST_CASE("a corpus is the same cold, warm, without a cache, on one thread and on four") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  std::vector<train::PreparedSlice> expected;
  std::string identity;
  for (const int threads : {1, 4}) {
    set_thread_count(threads);
    for (const char* where : {"", "cold", "cold"}) {
      const auto cache = *where != 0 ? dir / concat(where, threads) : std::filesystem::path();
      const bool warm = std::filesystem::exists(cache);
      auto options = tiny_corpus_options(cache);
      options.threads = threads;
      Corpus corpus(files, tiny_features(), text_reader(), options);
      CHECK(corpus.size() == 4);
      CHECK(corpus.report().from_cache == (warm ? 4 : 0));
      CHECK(corpus.report().prepared == (warm ? 0 : 4));
      CHECK(corpus.entries()[1].name == "b");
      CHECK(corpus.width() == 8);
      std::int64_t pieces = 0;
      for (std::int64_t i = 0; i < 4; ++i) {
        const auto slice = corpus.slice(i);
        pieces += slice->pieces();
        if (expected.size() < 4) {
          expected.push_back(*slice);
          identity = corpus.identity();
        }
        CHECK(same_slice(expected[static_cast<std::size_t>(i)], *slice));
      }
      CHECK(corpus.pieces() == pieces);
      CHECK(corpus.identity() == identity);
      CHECK(corpus.loads() == (warm ? 4 : 0));
      CHECK(corpus.take_notices().empty());
    }
  }
  set_thread_count(2);
}

TEST_CASE("memory stays within its bound, and what was dropped comes back bitwise") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  Corpus all(files, tiny_features(), text_reader(), tiny_corpus_options());
  const std::int64_t bytes = all.held_bytes();
  CHECK(bytes ==
        all.slice(0)->bytes() + all.slice(1)->bytes() + all.slice(2)->bytes() + all.slice(3)->bytes());
  for (const bool cached : {true, false})
    for (const std::int64_t memory : {bytes / 2, bytes / 4, std::int64_t{0}}) {
      CAPTURE(memory);
      auto options = tiny_corpus_options(cached ? dir / "cache" : std::filesystem::path());
      options.memory = memory;
      Corpus corpus(files, tiny_features(), text_reader(), options);
      CHECK(corpus.held_bytes() <= memory);
      for (int round = 0; round < 3; ++round)
        for (const std::int64_t i : {3, 0, 1, 1, 2, 0}) {
          CHECK(same_slice(*corpus.slice(i), *all.slice(i)));
          CHECK(corpus.held_bytes() <= memory);
        }
      CHECK(corpus.loads() > 3);
      if (memory > 0) CHECK(corpus.loads() < 18);
      const auto held = corpus.slice(1);  // in use: no second copy
      const std::int64_t loads = corpus.loads();
      CHECK(corpus.slice(1) == held);
      CHECK(corpus.loads() == loads);
    }
}

TEST_CASE("many threads may ask for slices; each is loaded once at a time") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  auto options = tiny_corpus_options(dir / "cache");
  Corpus all(files, tiny_features(), text_reader(), options);
  Corpus corpus(files, tiny_features(), text_reader(), options);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      for (std::int64_t i = 0; i < 40; ++i)
        if (!same_slice(*corpus.slice((i + t) % 4), *all.slice((i + t) % 4))) ++wrong;
    });
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(corpus.loads() == 4);
}

TEST_CASE("a damaged cache entry is made again, with a notice") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  const auto options = tiny_corpus_options(dir / "cache");
  const Corpus first(files, tiny_features(), text_reader(), options);
  const auto path = dir / "cache" / (first.entries()[2].key + ".safetensors");
  const auto damage = [&path](std::int64_t from_end) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-from_end, std::ios::end);
    file.put('!');
  };
  damage(40);  // in the data: found when the slice is needed
  {
    Corpus corpus(files, tiny_features(), text_reader(), options);
    CHECK(corpus.report().from_cache == 4);
    const auto slice = corpus.slice(2);
    CHECK(has_notice(corpus.take_notices(), "STOFM-W4520"));
    CHECK(slice->cells() == 90);
  }
  Corpus mended(files, tiny_features(), text_reader(), options);
  mended.slice(2);
  CHECK(mended.take_notices().empty());
  std::filesystem::resize_file(path, 100);  // in the header: found at once
  const Corpus corpus(files, tiny_features(), text_reader(), options);
  CHECK(corpus.report().from_cache == 3);
  CHECK(has_notice(corpus.report().notices, "STOFM-W4520"));
}

TEST_CASE("a slice that can not be read is an error that names it, or skipped and counted") {
  const ScratchDir dir;
  auto files = four_slices(dir);
  std::ofstream(dir / "bad1.h5ad") << "nothing of the kind";
  files.insert(files.begin() + 1, dir / "bad1.h5ad");
  files.insert(files.begin() + 3, dir / "missing.h5ad");
  for (const int threads : {1, 4}) {
    auto options = tiny_corpus_options();
    options.threads = threads;
    try {
      const Corpus corpus(files, tiny_features(), text_reader(), options);
      FAIL("accepted");
    } catch (const FileError& e) {
      CHECK(e.file().find("bad1.h5ad") != std::string::npos);  // the first in the list, whoever met it
    }
    options.skip_bad = true;
    const Corpus corpus(files, tiny_features(), text_reader(), options);
    CHECK(corpus.size() == 4);
    CHECK(corpus.entries()[2].name == "c");
    CHECK(corpus.report().skipped_bad == 2);
    CHECK(has_notice(corpus.report().notices, "STOFM-W4540"));
  }
  auto options = tiny_corpus_options();
  options.skip_bad = true;
  CHECK_THROWS_AS(Corpus({dir / "bad1.h5ad"}, tiny_features(), text_reader(), options), DataError);
  CHECK_THROWS_AS(Corpus({}, tiny_features(), text_reader(), options), DataError);
  options.memory = -1;
  CHECK_THROWS_AS(Corpus(files, tiny_features(), text_reader(), options), UsageError);
}

TEST_CASE("a slice with one cell is left out with a notice; a doubled one is reported") {
  const ScratchDir dir;
  auto files = four_slices(dir);
  files.push_back(write_slice(dir / "one.h5ad", 1));
  files.push_back(write_slice(dir / "twin.h5ad", 60, 30, 1));  // the content of a
  const Corpus corpus(files, tiny_features(), text_reader(), tiny_corpus_options());
  CHECK(corpus.size() == 5);
  CHECK(corpus.report().skipped_single == 1);
  CHECK(has_notice(corpus.report().notices, "STOFM-W4541"));
  CHECK(has_notice(corpus.report().notices, "STOFM-W4542"));
  CHECK(corpus.split({.validation = {"twin"}}).validation == std::vector<std::int64_t>{4});
  CHECK(corpus.pieces_of({1}).front().pieces > 3);
}

TEST_CASE("a file that changes under a corpus without a cache is refused") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  auto options = tiny_corpus_options();
  options.memory = 0;
  Corpus corpus(files, tiny_features(), text_reader(), options);
  corpus.slice(0);
  write_slice(files[0], 61);
  CHECK_THROWS_AS(corpus.slice(0), DataError);
  CHECK_THROWS_AS(corpus.slice(0), DataError);  // and again, not forever waiting
  CHECK_THROWS_AS(corpus.slice(4), ShapeError);
}

TEST_CASE("opening can be interrupted") {
  const ScratchDir dir;
  const std::atomic<bool> stop{true};
  auto options = tiny_corpus_options();
  options.skip_bad = true;
  CHECK_THROWS_AS(
      Corpus(four_slices(dir), tiny_features(), text_reader(), options, pipeline::Progress({}, &stop)),
      pipeline::Interrupted);
  int calls = 0;
  CHECK_THROWS_AS(Corpus(four_slices(dir), tiny_features(), text_reader(), options,
                         pipeline::Progress([&calls](const pipeline::ProgressEvent&) {
                           if (++calls == 2) throw pipeline::Interrupted();
                         })),
                  pipeline::Interrupted);
}

TEST_CASE("files, folders and patterns become one sorted list") {
  const ScratchDir dir;
  four_slices(dir);
  std::filesystem::create_directory(dir / "empty");
  std::filesystem::create_directory(dir / "folder.h5ad");
  std::ofstream(dir / "notes.txt") << "no slice";
  const auto folder = train::find_slices({dir.path().string()});
  CHECK(folder.size() == 4);
  CHECK(folder.front().filename() == "a.h5ad");
  for (const char* name : {"a.stofm.h5ad", "alone.stofm.h5ad", "UPPER.H5AD"})
    std::ofstream(dir / name) << "x";
  std::vector<std::string> names;
  for (const auto& path : train::find_slices({dir.path().string()}))
    names.push_back(path.filename().string());
  CHECK(names ==
        std::vector<std::string>{"UPPER.H5AD", "a.h5ad", "alone.stofm.h5ad", "b.h5ad", "c.h5ad", "d.h5ad"});
  for (const char* name : {"a.stofm.h5ad", "alone.stofm.h5ad", "UPPER.H5AD"})
    std::filesystem::remove(dir / name);
  CHECK(train::find_slices({(dir / "[bd].h5ad").string(), (dir / "a.h5ad").string(), dir.path().string()}) ==
        folder);
  CHECK(train::find_slices({(dir / "x.h5ad").string()}).size() == 1);  // reading it is what fails
  CHECK_THROWS_AS(train::find_slices({(dir / "empty").string()}), UsageError);
  CHECK_THROWS_AS(train::find_slices({(dir / "*.csv").string()}), UsageError);
  CHECK_THROWS_AS(train::find_slices({}), UsageError);
}

TEST_CASE("processes prepare a share each and find the rest in the cache; a known file is not read") {
  const ScratchDir dir;
  const auto files = four_slices(dir);
  std::mutex mutex;
  std::vector<std::string> read[2];
  std::atomic<int> arrived{0};
  std::optional<Corpus> corpora[2];
  const auto open = [&](int rank) {
    train::SliceReader reader = text_reader();
    reader.open = [&, rank, plain = reader.open](const std::filesystem::path& path) {
      const std::scoped_lock lock(mutex);
      read[rank].push_back(path.filename().string());
      return plain(path);
    };
    auto options = tiny_corpus_options(dir / "cache");
    options.rank = rank;
    options.ranks = 2;
    options.threads = 1;
    options.wait_for_ranks = [&arrived] {
      ++arrived;
      while (arrived < 2) std::this_thread::yield();
    };
    corpora[rank].emplace(files, tiny_features(), reader, options);
  };
  std::thread other([&] { open(1); });
  open(0);
  other.join();
  CHECK(read[0] == std::vector<std::string>{"a.h5ad", "c.h5ad"});
  CHECK(read[1] == std::vector<std::string>{"b.h5ad", "d.h5ad"});
  CHECK(corpora[0]->report().prepared == 2);
  CHECK(corpora[0]->identity() == corpora[1]->identity());
  CHECK(corpora[0]->identity() ==
        Corpus(files, tiny_features(), text_reader(), tiny_corpus_options()).identity());

  const auto known = std::make_shared<train::KnownFiles>();
  const io::FileIdentity is = io::file_identity(files[0].string());
  known->add(files[0], {is.bytes, is.modified_ns, io::sha256_hex("another content"), "", 0, 0});
  auto options = tiny_corpus_options(dir / "cache");
  options.known = known;
  const Corpus believing(files, tiny_features(), text_reader(), options);
  CHECK(believing.entries()[0].key != corpora[0]->entries()[0].key);  // by the hash that was given
  CHECK(believing.entries()[1].key == corpora[0]->entries()[1].key);
  std::ofstream(files[0]) << "60 30 1 ";  // written since: hashed again
  const Corpus looking(files, tiny_features(), text_reader(), options);
  CHECK(looking.entries()[0].key !=
        train::slice_key(io::sha256_hex("another content"), tiny_features(), options.prepare, "text"));
  options.rank = 2;
  options.ranks = 2;
  CHECK_THROWS_AS(Corpus(files, tiny_features(), text_reader(), options), UsageError);
}
