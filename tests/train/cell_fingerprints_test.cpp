// SPDX-License-Identifier: MIT
#include "stofm/train/cell_fingerprints.hpp"

#include <doctest/doctest.h>

#include "stofm/train/adapt_slices.hpp"
#include "stofm/train/index_slice.hpp"
#include "tests/train/corpus_fixture.hpp"

namespace {

using namespace stofm;
using namespace stofm::test;

using Places = std::vector<std::pair<double, double>>;

train::Fingerprints places_of(const Places& xy) {
  Tensor<double> tensor({static_cast<std::int64_t>(xy.size()), 2});
  for (std::size_t i = 0; i < xy.size(); ++i) {
    tensor.data()[2 * i] = xy[i].first;
    tensor.data()[2 * i + 1] = xy[i].second;
  }
  return train::place_fingerprints(std::as_const(tensor).view());
}

train::IndexedSlice indexed(const io::Slice& slice) {
  const auto model = tiny_model();
  return train::index_slice(slice, *model.genes, *model.mouse_map);
}

double share(const train::Fingerprints& a, const train::Fingerprints& b) {
  return static_cast<double>(train::count_common(a, b)) / static_cast<double>(std::min(a.size(), b.size()));
}

}  // namespace

TEST_CASE(
    "places keep their fingerprints when a slice is moved, turned, mirrored, scaled, cut or reordered") {
  const Places xy = scattered(400, 100, 70, 5);
  const auto prints = places_of(xy);
  CHECK(prints.size() == 400);
  Places turned, mirrored;
  for (const auto& [x, y] : xy) {
    turned.emplace_back(3000 + 0.2125 * (x * 0.8 - y * 0.6), 0.2125 * (x * 0.6 + y * 0.8) - 700);
    mirrored.emplace_back(-x, y);
  }
  std::reverse(turned.begin(), turned.end());
  CHECK(share(prints, places_of(turned)) > 0.99);  // rounding moves a few across a border
  CHECK(share(prints, places_of(mirrored)) > 0.99);
  const Places half(xy.begin(), xy.begin() + 200);
  CHECK(share(prints, places_of(half)) <
        0.2);  // one in 8 keeps its three neighbours, standard deviation 0.023
  Places window;
  for (const auto& [x, y] : xy)
    if (x < 50) window.emplace_back(x, y);
  CHECK(share(prints, places_of(window)) > 0.8);  // all but those at the cut
  CHECK(share(prints, places_of(scattered(400, 100, 70, 6))) == 0);
}

TEST_CASE("a grid, points at one place and slices of three cells have no fingerprints of places") {
  Places grid;
  for (int i = 0; i < 20; ++i)
    for (int j = 0; j < 20; ++j) grid.emplace_back(i * 100.0 + (j % 2) * 50.0, j * 86.6);
  CHECK(places_of(grid).empty());
  CHECK(places_of(Places(30, {1, 2})).empty());
  CHECK(places_of({{0, 0}, {1, 0}, {0, 2}}).empty());
  CHECK(places_of({}).empty());
}

TEST_CASE(
    "counts keep their fingerprints under another order of genes and cells, and under more genes unknown") {
  const io::Slice slice = slice_at(scattered(60), 30);
  const train::IndexedSlice one = indexed(slice);
  CHECK(one.line.cells == 60);
  CHECK(one.line.known_genes == 30);
  CHECK(one.line.cells_with_genes == 60);
  CHECK(one.prints.counts.size() == 60);
  CHECK(one.line.species == "human");
  io::Slice other = slice;  // genes from the last to the first, cells too, and a gene that nobody knows
  std::reverse(other.gene_ids.begin(), other.gene_ids.end());
  other.gene_ids.push_back("ENSG99999999999");
  other.read_counts = [read = slice.read_counts](std::int64_t begin, std::int64_t end) {
    io::CountRows rows;
    rows.first_row = begin;
    for (std::int64_t i = begin; i < end; ++i) {
      const io::CountRows row = read(59 - i, 60 - i);
      for (std::size_t e = 0; e < row.columns.size(); ++e) {
        rows.columns.push_back(29 - row.columns[e]);
        rows.values.push_back(row.values[e]);
      }
      rows.columns.push_back(30);
      rows.values.push_back(7);
      rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
    }
    return rows;
  };
  const train::IndexedSlice again = indexed(other);
  CHECK(again.prints.counts == one.prints.counts);
  CHECK(again.line.panel == one.line.panel);
  CHECK(again.line.tokens == one.line.tokens);
  CHECK(again.line.median_counts == one.line.median_counts + 7);
  CHECK(share(indexed(slice_at(scattered(60), 30, 4)).prints.counts, one.prints.counts) == 0);
}

TEST_CASE("what is counted of a slice is what adaptation finds in it") {
  const auto model = tiny_model();
  auto slice = make_slice({{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}},
                           {{0, 4}, {1, 1}, {2, 1}, {3, 1}},
                           {},
                           {{0, 1}, {1, 2}, {2, 1}, {3, 1}, {4, 1}, {5, 3}}},
                          {{0, 5}, {-1, 1}, {2, 1}, {3, 3}}, 30);
  const train::IndexedSlice one = indexed(slice);
  const train::TokenSlice tokens = train::tokenize_slice(slice, *model.genes, *model.mouse_map);
  CHECK(one.line.cells_with_genes == 2);
  CHECK(one.line.cells_with_genes == tokens.cells());
  CHECK(one.line.tokens == tokens.offsets.back());
  CHECK(one.line.median_genes == 4.5);
  CHECK(one.line.median_counts == 6);
  CHECK(one.line.extent == std::array<double, 4>{-1, 1, 3, 5});
}

TEST_CASE("fingerprints come back from disk, whole and as a sketch") {
  const ScratchDir dir;
  train::CellFingerprints prints;
  for (std::uint64_t i = 1; i <= 5000; ++i) prints.counts.push_back(train::mix_bits(i));
  prints.counts = train::sorted_fingerprints(prints.counts);
  train::write_fingerprints(dir / "f.safetensors", prints);
  CHECK(train::read_fingerprints(dir / "f.safetensors").counts == prints.counts);
  const auto sketch = train::read_fingerprints(dir / "f.safetensors", true);
  CHECK(sketch.places.empty());
  CHECK(sketch.counts == train::sketch_of(prints.counts));
  CHECK(sketch.counts.size() > 200);  // one in 16 of 5,000 is 312, standard deviation 17
  CHECK(sketch.counts.size() < 420);
  CHECK(train::sketch_of({1, 2, 3}).size() == 3);
  const train::Fingerprints high(prints.counts.end() - 100, prints.counts.end());
  CHECK(train::sketch_of(high).size() == 64);
}
