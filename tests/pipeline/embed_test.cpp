// SPDX-License-Identifier: MIT
// A slice through the whole pipeline with a small random model: rows D01 to D08 and D22 to D32, same bits on
// any number of threads, in-place and apart, by library, interrupted, refused.
#include "stofm/pipeline/embed.hpp"

#include <doctest/doctest.h>

#include "tests/pipeline/embed_fixture.hpp"

using namespace stofm;
using namespace stofm::pipeline;
using namespace stofm::test;

namespace {
std::int64_t count_of(const Notices& notices, const std::string& code) {
  for (const auto& notice : notices)
    if (notice.code == code) return notice.count;
  return 0;
}

/// What must hold for every result.
void check_result(const EmbedResult& r, std::int64_t cells, std::int64_t width = 8) {
  CHECK(r.embeddings.shape() == Shape{cells, width});
  CHECK(all_finite(r.embeddings));
  REQUIRE(static_cast<std::int64_t>(r.macro_labels.size()) == cells);
  REQUIRE(static_cast<std::int64_t>(r.piece_of_cell.size()) == cells);
  std::vector<std::int64_t> in_piece(r.pieces.size(), 0);
  for (const auto piece : r.piece_of_cell) ++in_piece.at(static_cast<std::size_t>(piece));
  std::int64_t total = 0;
  for (std::size_t p = 0; p < r.pieces.size(); ++p) {
    CHECK(in_piece[p] == r.pieces[p].cells);
    total += r.pieces[p].cells;
  }
  CHECK(total == cells);
  for (const auto label : r.macro_labels) REQUIRE((label >= 0 && label < r.virtual_cells()));
}

template <class E>
std::string code_of(const io::Slice& slice, const Model& model, const EmbedOptions& options,
                    const std::string& word) {
  try {
    embed_slice(slice, model, options);
  } catch (const E& e) {
    CHECK_MESSAGE(std::string(e.what()).find(word) != std::string::npos, e.what());
    CHECK_FALSE(e.remedy().empty());
    return e.code();
  }
  return "accepted";
}

const Model model_8 = tiny_model();
}  // namespace

TEST_CASE("D02, D03: one cell, two, three and nine are embedded") {
  for (const std::int64_t n : {1, 2, 3, 9}) {
    CAPTURE(n);
    const auto r = embed_slice(slice_at(scattered(n)), model_8);
    check_result(r, n);
    CHECK(r.pieces.size() == 1);
  }
}

TEST_CASE("D04: around the size of a piece every cell is embedded once") {
  for (const std::int64_t n : {40, 41, 79, 80, 81, 200}) {
    CAPTURE(n);
    const auto r = embed_slice(slice_at(scattered(n)), model_8, {.split = 40});
    check_result(r, n);
    CHECK(static_cast<std::int64_t>(r.pieces.size()) == r.plan.pieces);
    CHECK((n <= 40) == (r.pieces.size() == 1));
  }
}

TEST_CASE("D05, D07, D08: empty, unknown and long cells are embedded and counted") {
  const auto xy = scattered(60);
  Random random(3);
  std::vector<CellCounts> cells;
  for (const auto& [x, y] : xy) cells.push_back(random_counts(random, x, y, 30));
  cells[4].clear();
  cells[17].clear();
  cells[9] = {{30, 5.0}};  // gene 30 is not in the vocabulary
  cells[20].clear();
  for (std::int32_t g = 0; g < 30; ++g) cells[20].emplace_back(g, 1.0 + g);  // 24 positions
  const auto slice = make_slice(cells, xy, 31);
  const auto r = embed_slice(slice, model_8, {.split = 40});
  check_result(r, 60);
  CHECK(r.zero_count_cells == std::vector<std::int64_t>{4, 17});
  CHECK(r.no_gene_cells == std::vector<std::int64_t>{9});
  CHECK(r.truncated_cells >= 1);
  CHECK(count_of(r.notices, "STOFM-W4301") == 2);
  CHECK(count_of(r.notices, "STOFM-W4302") == 1);
  CHECK(count_of(r.notices, "STOFM-W4303") == r.truncated_cells);
  CHECK(r.coverage.matched == 30);
  // The gene scale alone: bare cells have one and the same embedding of length 1.
  const auto cells_only = embed_slice(slice, model_8, {.target = EmbedTarget::cells_only});
  CHECK(same_bits(cells_only.embeddings.slice(0, 4, 5).clone(),
                  cells_only.embeddings.slice(0, 17, 18).clone()));
  CHECK(
      same_bits(cells_only.embeddings.slice(0, 4, 5).clone(), cells_only.embeddings.slice(0, 9, 10).clone()));
  CHECK(cells_only.pieces.empty());
}

TEST_CASE("center_per_slice: embeddings about the mean of the cells that have genes, of length 1") {
  std::vector<CellCounts> cells;
  Random random(8);
  const auto xy = scattered(60);
  for (const auto& [x, y] : xy) cells.push_back(random_counts(random, x, y, 30));
  cells[4].clear();        // no count
  cells[9] = {{30, 2.0}};  // none in the vocabulary
  const auto slice = make_slice(cells, xy, 31);
  auto parts = tiny_parts();
  const EmbedOptions gene_scale{.target = EmbedTarget::cells_only};
  const auto plain = embed_slice(slice, pipeline::make_model(parts), gene_scale);
  parts.cell_encoder_config->center_per_slice = true;
  const auto centred = embed_slice(slice, pipeline::make_model(parts), gene_scale);
  for (std::int64_t c = 0; c < 8; ++c) {
    CHECK(centred.embeddings(4, c) == 0.0F);
    CHECK(centred.embeddings(9, c) == 0.0F);
  }
  std::vector<double> mean(8);
  for (std::int64_t i = 0; i < 60; ++i)
    if (i != 4 && i != 9)
      for (std::int64_t c = 0; c < 8; ++c)
        mean[static_cast<std::size_t>(c)] += static_cast<double>(plain.embeddings(i, c)) / 58;
  for (std::int64_t i = 0; i < 60; ++i) {
    if (i == 4 || i == 9) continue;
    double squares = 0;
    for (std::int64_t c = 0; c < 8; ++c) {
      const double d = static_cast<double>(plain.embeddings(i, c)) - mean[static_cast<std::size_t>(c)];
      squares += d * d;
    }
    for (std::int64_t c = 0; c < 8; ++c) {
      const double d = static_cast<double>(plain.embeddings(i, c)) - mean[static_cast<std::size_t>(c)];
      // two roundings to float of numbers below 1, the first before a division by the length
      CHECK(std::abs(static_cast<double>(centred.embeddings(i, c)) - d / std::sqrt(squares)) <=
            1.2e-7 * (1 + 1 / std::sqrt(squares)));
    }
  }
}

TEST_CASE("D01, D06: a slice without cells, counts or vocabulary counts is refused") {
  const std::vector<CellCounts> empty(5), unknown(5, CellCounts{{30, 1.0}});
  CHECK(code_of<DataError>(slice_at({}), model_8, {}, "0 cells") == "STOFM-4341");
  CHECK(code_of<DataError>(make_slice(empty, scattered(5), 30), model_8, {}, "H5adReadOptions::layer") ==
        "STOFM-4322");
  CHECK(code_of<DataError>(make_slice(unknown, scattered(5), 31), model_8, {}, "vocabulary") == "STOFM-4323");
}

TEST_CASE("D22 to D27: degenerate places are embedded") {
  std::vector<std::pair<double, double>> point(90, {5, 5}), line, outlier = scattered(90), lattice, islands,
                                                                  twins = scattered(90);
  for (int i = 0; i < 90; ++i) line.emplace_back(i * 1.5, 0);
  outlier[7] = {1e8, 1e8};
  for (int i = 0; i < 100; ++i) lattice.emplace_back(i % 10, i / 10);
  for (int i = 0; i < 210 * 15; ++i)
    islands.emplace_back(1e4 * (i / 15 % 15) + i % 4, 1e4 * (i / 225) + i % 15 / 4);
  for (int i = 0; i < 30; ++i) twins[static_cast<std::size_t>(i)] = twins[30];
  for (const auto geometry : {Geometry::reference, Geometry::stable}) {
    const EmbedOptions options{.split = 40, .geometry = geometry};
    for (const auto* xy : {&point, &line, &outlier, &lattice, &twins}) {
      const auto r = embed_slice(slice_at(*xy), model_8, options);
      check_result(r, static_cast<std::int64_t>(xy->size()));
      if (xy == &outlier) CHECK(count_of(r.notices, "STOFM-W4201") == 1);
      if (xy == &twins && geometry == Geometry::reference) CHECK(count_of(r.notices, "STOFM-W4304") > 0);
      if (geometry == Geometry::stable) CHECK(count_of(r.notices, "STOFM-W4304") == 0);
    }
  }
  // D27 is about the clusters: the peer never ends.
  const auto start = std::chrono::steady_clock::now();
  const auto r = embed_slice(slice_at(islands), model_8, {.split = 300});
  check_result(r, 210 * 15);
  MESSAGE("210 islands: ", r.virtual_cells(), " virtual cells, ",
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), " s");
}

TEST_CASE("D32: cells that are all alike are embedded") {
  const std::vector<CellCounts> same(70, CellCounts{{0, 2.0}, {3, 1.0}});
  check_result(embed_slice(make_slice(same, scattered(70), 30), model_8, {.split = 30}), 70);
}

TEST_CASE("the same seed gives the same bits at 1, 2 and 4 threads; k-means too") {
  const auto slice = slice_at(scattered(500));
  for (const auto clustering : {ClusterMethod::leiden, ClusterMethod::kmeans}) {
    const EmbedOptions options{.clustering = clustering, .seed = 5, .split = 60};
    set_thread_count(1);
    const auto expected = embed_slice(slice, model_8, options);
    check_result(expected, 500);
    for (const int threads : {2, 4}) {
      set_thread_count(threads);
      const auto again = embed_slice(slice, model_8, options);
      CHECK(same_bits(again.embeddings, expected.embeddings));
      CHECK(again.macro_labels == expected.macro_labels);
      CHECK(again.piece_of_cell == expected.piece_of_cell);
    }
    set_thread_count(2);
  }
}

TEST_CASE("pieces computed in turn with threads inside have the bits of pieces computed side by side") {
  const auto slice = slice_at(scattered(90));
  set_thread_count(64);  // fewer than two pieces a thread
  const auto inside = embed_slice(slice, model_8, {.split = 20});
  set_thread_count(2);
  const auto beside = embed_slice(slice, model_8, {.split = 20});
  CHECK(beside.pieces.size() >= 4);
  CHECK(same_bits(inside.embeddings, beside.embeddings));
}
