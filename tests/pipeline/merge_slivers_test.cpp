// SPDX-License-Identifier: MIT
// Slivers: what they are, where they go, and that nothing else moves.
#include "stofm/pipeline/merge_slivers.hpp"

#include <doctest/doctest.h>

#include <numeric>
#include <set>

#include "stofm/pipeline/embed.hpp"
#include "stofm/pipeline/split_cells.hpp"
#include "tests/cluster/point_sets.hpp"
#include "tests/pipeline/embed_fixture.hpp"

using namespace stofm;

namespace {
using Pieces = std::vector<std::vector<std::int64_t>>;

Pieces merged(Pieces pieces, const Tensor<double>& xy, std::int64_t split_num) {
  pipeline::merge_slivers(pieces, xy.view(), split_num);
  return pieces;
}

std::int64_t smallest(const Pieces& pieces) {
  std::int64_t least = (std::numeric_limits<std::int64_t>::max)();
  for (const auto& piece : pieces) least = (std::min)(least, static_cast<std::int64_t>(piece.size()));
  return least;
}

/// 40 x 40 cells on a square of 97.5, then `extra` cells that stick out to the right by little.
Tensor<double> with_rim(std::int64_t extra) {
  std::vector<double> values;
  for (int i = 0; i < 40; ++i)
    for (int j = 0; j < 40; ++j) values.insert(values.end(), {2.5 * i, 2.5 * j});
  for (std::int64_t e = 0; e < extra; ++e)
    values.insert(values.end(), {101.0, 30.0 + static_cast<double>(e)});
  return Tensor<double>::from({static_cast<std::int64_t>(values.size()) / 2, 2},
                              std::span<const double>(values));
}
}  // namespace

TEST_CASE("a sliver is a piece below a tenth of what a piece should hold, beside others") {
  CHECK(pipeline::sliver_limit(1000) == 100);
  CHECK(pipeline::sliver_limit(1001) == 101);
  CHECK(pipeline::sliver_limit(9) == 1);
  CHECK(pipeline::sliver_limit(1) == 1);
  const auto of = [](std::initializer_list<std::size_t> sizes) {
    Pieces pieces;
    for (const std::size_t size : sizes) pieces.emplace_back(size, 0);
    return pipeline::count_slivers(pieces, 100);
  };
  CHECK(of({9}).pieces == 0);
  CHECK(of({}).pieces == 0);
  CHECK(of({10, 90}).pieces == 0);
  CHECK(of({9, 90, 3}).pieces == 2);
  CHECK(of({9, 90, 3}).cells == 12);
}

TEST_CASE("after merging no piece is a sliver, and every cell is in exactly one (D02 D03 D22 D23 D25 D26)") {
  std::int64_t moved = 0;
  for (const std::string& kind : test::point_set_names())
    for (const std::int64_t n : {1, 2, 9, 999, 1001, 2000, 5003})
      for (const std::int64_t split_num : {1000, 200, 30, 1}) {
        CAPTURE(kind);
        CAPTURE(n);
        CAPTURE(split_num);
        const auto xy = test::point_set(kind, n, 4);
        const Pieces before = pipeline::split_cells(xy.view(), split_num),
                     after = merged(before, xy, split_num);
        std::vector<int> times(static_cast<std::size_t>(n), 0);
        for (const auto& piece : after) {
          CHECK(std::is_sorted(piece.begin(), piece.end()));
          for (const std::int64_t cell : piece) ++times[static_cast<std::size_t>(cell)];
        }
        CHECK(std::count(times.begin(), times.end(), 1) == n);
        CHECK((after.size() == 1 || smallest(after) >= pipeline::sliver_limit(split_num)));
        if (pipeline::count_slivers(before, split_num).pieces == 0) CHECK(after == before);
        moved += before.size() != after.size();
      }
  CHECK(moved > 20);  // otherwise nothing was tried
}

TEST_CASE("a rim of few cells goes to the squares beside it, the others keep their cells") {
  const auto xy = with_rim(30);
  const Pieces before = pipeline::split_cells(xy.view(), 400), after = merged(before, xy, 400);
  REQUIRE(pipeline::count_slivers(before, 400).pieces > 0);
  CHECK(pipeline::count_slivers(after, 400).pieces == 0);
  for (const auto& piece : before) {
    if (static_cast<std::int64_t>(piece.size()) < 40) continue;
    const auto home = std::find_if(after.begin(), after.end(), [&](const auto& other) {
      return std::includes(other.begin(), other.end(), piece.begin(), piece.end());
    });
    REQUIRE(home != after.end());
    for (const std::int64_t cell : *home)  // what came in lies beside this piece
      if (!std::binary_search(piece.begin(), piece.end(), cell)) CHECK((xy(cell, 0) > 85 || xy(cell, 1) > 85));
  }
}

TEST_CASE("equally near pieces: the one with more cells takes the sliver, then the lower one") {
  //  0..9 at x = 0, 10..29 at x = 4, and cell 30 in the middle
  std::vector<double> values;
  for (int i = 0; i < 10; ++i) values.insert(values.end(), {0.0, 0.0});
  for (int i = 0; i < 20; ++i) values.insert(values.end(), {4.0, 0.0});
  values.insert(values.end(), {2.0, 0.0});
  const auto xy = Tensor<double>::from({31, 2}, std::span<const double>(values));
  std::vector<std::int64_t> left(10), right(20);
  std::iota(left.begin(), left.end(), 0);
  std::iota(right.begin(), right.end(), 10);
  const Pieces after = merged({left, right, {30}}, xy, 20);
  REQUIRE(after.size() == 2);
  CHECK(after[0] == left);
  CHECK(after[1].back() == 30);
  right.resize(10);
  const Pieces even = merged({right, left, {30}}, xy, 20);
  REQUIRE(even.size() == 2);
  CHECK(even[0] == right);
  CHECK(even[1].back() == 30);
}

TEST_CASE("which cells go together does not depend on the order of cells") {
  for (const char* kind : {"random", "islands", "offset", "hex lattice"}) {
    CAPTURE(kind);
    const std::int64_t n = 2113;
    const auto xy = test::point_set(kind, n, 11);
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    Random random(3);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    const auto shuffled = pipeline::detail::gather_rows(xy, order);
    const Pieces plain = pipeline::split_cells(xy.view(), 100);
    for (const auto& piece : plain) REQUIRE(piece.size() < 200);  // nothing is cut in index order
    std::set<std::vector<std::int64_t>> a, b;
    for (const auto& piece : merged(plain, xy, 100)) a.insert(piece);
    for (auto& piece : merged(pipeline::split_cells(shuffled.view(), 100), shuffled, 100)) {
      for (std::int64_t& cell : piece) cell = order[static_cast<std::size_t>(cell)];
      std::sort(piece.begin(), piece.end());
      b.insert(piece);
    }
    CHECK(a == b);
  }
}

TEST_CASE("embedding: slivers are counted, merged on demand, never across libraries, and no notice") {
  const auto model = test::tiny_model();
  std::vector<std::pair<double, double>> xy;
  for (int i = 0; i < 30; ++i)
    for (int j = 0; j < 30; ++j) xy.emplace_back(i, j);
  for (int e = 0; e < 3; ++e) xy.emplace_back(31.0, 10.0 * e);
  const io::Slice slice = test::slice_at(xy);
  const auto plain = pipeline::embed_slice(slice, model, {.split = 200});
  REQUIRE(plain.plan.slivers > 0);
  CHECK(plain.plan.sliver_cells > 0);
  for (const Notice& notice : plain.notices) CHECK(notice.text.find("sliver") == std::string::npos);
  const auto joined = pipeline::embed_slice(slice, model, {.split = 200, .merge_slivers = true});
  CHECK(joined.plan.slivers == 0);
  CHECK(joined.pieces.size() < plain.pieces.size());
  CHECK(joined.macro_labels == plain.macro_labels);
  for (const auto& piece : joined.pieces) CHECK(piece.cells >= 20);
  // Cells of pieces that took nothing in keep their bits.
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < slice.cells; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto &was = plain.pieces[static_cast<std::size_t>(plain.piece_of_cell[at])],
               &is = joined.pieces[static_cast<std::size_t>(joined.piece_of_cell[at])];
    if (was.cells != is.cells) continue;
    ++kept;
    for (std::int64_t c = 0; c < plain.embeddings.dim(1); ++c)
      REQUIRE(plain.embeddings(i, c) == joined.embeddings(i, c));
  }
  CHECK(kept > 0);
  CHECK(kept < slice.cells);

  io::Slice two = test::slice_at(xy);  // the three cells of the rim are a section of their own
  two.library.assign(xy.size(), 0);
  for (std::size_t i = 900; i < xy.size(); ++i) two.library[i] = 1;
  two.library_names = {"a", "b"};
  const auto apart = pipeline::embed_slice(two, model, {.split = 200, .merge_slivers = true});
  CHECK(apart.plan.slivers == 0);  // the only piece of its library
  for (std::size_t i = 0; i < xy.size(); ++i)
    CHECK(apart.pieces[static_cast<std::size_t>(apart.piece_of_cell[i])].library == two.library[i]);
}
