// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "tests/cluster/point_sets.hpp"

using namespace stofm;

namespace {
/// The paragraph of SPEC section 4 on a dense matrix, word by word.
Tensor<float> distances_by_the_book(const Tensor<double>& xy, std::int64_t virtual_cells,
                                    std::int64_t neighbours) {
  const std::int64_t n = xy.dim(0), k = std::min(neighbours, n - 1) - 1;
  Tensor<double> all({n, n});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      const double dx = xy(i, 0) - xy(j, 0), dy = xy(i, 1) - xy(j, 1);
      all(i, j) = dx * dx + dy * dy;
    }
  auto d = Tensor<float>::full({n, n}, 100.0F);
  auto take = [&](std::int64_t i, std::int64_t j) { d(i, j) = static_cast<float>(std::sqrt(all(i, j))); };
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<std::pair<double, std::int64_t>> others;
    for (std::int64_t j = 0; j < n; ++j)
      if (j != i) others.emplace_back(all(i, j), j);
    std::sort(others.begin(), others.end());
    for (std::int64_t m = 0; m < k; ++m) take(i, others[static_cast<std::size_t>(m)].second);
  }
  for (std::int64_t v = 1; v <= virtual_cells; ++v)
    for (std::int64_t j = 1; j < n; ++j) {
      take(v, j);
      take(j, v);
    }
  for (std::int64_t e = 0; e < n * n; ++e)
    if (d.data()[e] == 0) d.data()[e] = 100;
  for (std::int64_t j = 0; j < n; ++j) d(0, j) = d(j, 0) = 0;
  auto mirrored = d.clone();
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      if (d(i, j) == 100) mirrored(i, j) = d(j, i);
  for (std::int64_t i = 0; i < n; ++i) mirrored(i, i) = 0;
  return mirrored;
}

Tensor<double> normalised(const std::string& kind, std::int64_t n, std::uint64_t seed) {
  return pipeline::normalise_coordinates(test::point_set(kind, n, seed).view()).xy;
}
std::vector<std::int64_t> all_cells(std::int64_t n) {
  std::vector<std::int64_t> cells(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) cells[static_cast<std::size_t>(i)] = i;
  return cells;
}
bool same(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() && std::equal(a.data(), a.data() + a.numel(), b.data());
}
/// `xy` turned by `angle` about the origin.
Tensor<double> rotated(const Tensor<double>& xy, double angle) {
  Tensor<double> out(xy.shape());
  for (std::int64_t i = 0; i < xy.dim(0); ++i) {
    out(i, 0) = std::cos(angle) * xy(i, 0) - std::sin(angle) * xy(i, 1);
    out(i, 1) = std::sin(angle) * xy(i, 0) + std::cos(angle) * xy(i, 1);
  }
  return out;
}
}  // namespace

TEST_CASE("every cell is in exactly one piece, in index order (D02 D03 D04 D22 D23 D25 D26 D29)") {
  for (const std::string& kind : test::point_set_names())
    for (const std::int64_t n : {1, 2, 3, 9, 999, 1000, 1001, 1999, 2000, 2001, 5003})
      for (const std::int64_t split_num : {1000, 200}) {
        CAPTURE(kind);
        CAPTURE(n);
        CAPTURE(split_num);
        for (const bool raw : {false, true}) {
          const auto xy = raw ? test::point_set(kind, n, 4) : normalised(kind, n, 4);
          const auto pieces = pipeline::split_cells(xy.view(), split_num);
          std::vector<int> times(static_cast<std::size_t>(n), 0);
          for (const auto& piece : pieces) {
            CHECK(!piece.empty());
            CHECK(static_cast<std::int64_t>(piece.size()) < 2 * split_num);
            CHECK(std::is_sorted(piece.begin(), piece.end()));
            for (const std::int64_t cell : piece) ++times[static_cast<std::size_t>(cell)];
          }
          CHECK(std::count(times.begin(), times.end(), 1) == n);
          if (n <= split_num) CHECK(pieces.size() == 1);
        }
      }
}

TEST_CASE("a line is cut along its length, a heap in index order (D22 D23)") {
  Tensor<double> line({4000, 2});
  for (std::int64_t i = 0; i < 4000; ++i) {
    line(i, 0) = 3;
    line(i, 1) = static_cast<double>(i);
  }
  const auto stretches = pipeline::split_cells(line.view(), 1000);  // s = 5, length 3999 / 5
  REQUIRE(stretches.size() == 6);                                   // the last one: the far end alone
  CHECK(stretches[0].size() == 800);
  CHECK(stretches[5] == std::vector<std::int64_t>{3999});
  const auto heap = pipeline::split_cells(Tensor<double>::zeros({2003, 2}).view(), 1000);
  REQUIRE(heap.size() == 2);
  CHECK(heap[0].size() == 1002);  // numpy.array_split: the first gets one more
  CHECK(heap[1].front() == 1002);
}

TEST_CASE("distances are those of the book, for every kind of points (D02 D03 D22 D23 D24 D25 D26)") {
  for (const std::string& kind : test::point_set_names())
    for (const std::int64_t n : {1, 2, 3, 9, 49, 51, 230})
      for (const std::int64_t virtual_cells : {0, 1, 7, 70}) {
        const auto xy = normalised(kind, n, 6),
                   virtual_xy = normalised("random", virtual_cells == 0 ? 1 : virtual_cells, 8);
        const auto sub =
            pipeline::build_sub_slice(all_cells(n), xy.view(), virtual_xy.slice(0, 0, virtual_cells).view());
        CAPTURE(kind);
        CAPTURE(n);
        CAPTURE(virtual_cells);
        REQUIRE(sub.nodes() == 1 + virtual_cells + n);
        CHECK(same(to_dense(sub.distances), distances_by_the_book(sub.xy, virtual_cells, 50)));
      }
}

TEST_CASE("distances are symmetric, columns ascend, CLS and diagonal are 0, in both geometries") {
  for (const auto geometry : {pipeline::Geometry::reference, pipeline::Geometry::stable})
    for (const std::string& kind : test::point_set_names()) {
      const auto xy = normalised(kind, 400, 2), virtual_xy = normalised("random", 5, 3);
      const auto sub =
          pipeline::build_sub_slice(all_cells(400), xy.view(), virtual_xy.view(), {50, geometry});
      const auto dense = to_dense(sub.distances);
      CAPTURE(kind);
      bool symmetric = true, zero = true;
      for (std::int64_t i = 0; i < sub.nodes(); ++i) {
        zero = zero && dense(0, i) == 0 && dense(i, 0) == 0 && dense(i, i) == 0;
        for (std::int64_t j = 0; j < i; ++j) symmetric = symmetric && dense(i, j) == dense(j, i);
        const auto begin =
                       sub.distances.columns.begin() + sub.distances.row_offsets[static_cast<std::size_t>(i)],
                   end = sub.distances.columns.begin() +
                         sub.distances.row_offsets[static_cast<std::size_t>(i) + 1];
        CHECK(std::is_sorted(begin, end, std::less_equal<>{}));
      }
      CHECK(symmetric);
      CHECK(zero);
    }
}

TEST_CASE("a permutation of the cells permutes the distances") {
  for (const auto geometry : {pipeline::Geometry::reference, pipeline::Geometry::stable})
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      // Ties go to the lowest index, so in reference geometry only points without ties may be shuffled.
      const std::string kind =
          geometry == pipeline::Geometry::stable && seed % 2 == 0 ? "hex lattice" : "random";
      const std::int64_t n = 180;
      const auto xy = normalised(kind, n, seed), virtual_xy = normalised("random", 4, seed + 50);
      auto shuffled = all_cells(n);
      Random random(seed, 1);
      for (std::size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[random.below(i)]);
      const auto a = pipeline::build_sub_slice(all_cells(n), xy.view(), virtual_xy.view(), {50, geometry});
      const auto b = pipeline::build_sub_slice(shuffled, xy.view(), virtual_xy.view(), {50, geometry});
      const auto da = to_dense(a.distances), db = to_dense(b.distances);
      std::int64_t differences = 0;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j)
          differences += db(i + 5, j + 5) != da(shuffled[static_cast<std::size_t>(i)] + 5,
                                                shuffled[static_cast<std::size_t>(j)] + 5);
      CHECK(differences == 0);
    }
}

TEST_CASE("stable geometry: a lattice turned by any angle keeps every neighbour (D26)") {
  for (const std::string kind : {"square lattice", "hex lattice"}) {
    const auto lattice = normalised(kind, 900, 0), none = Tensor<double>::zeros({0, 2});
    const auto straight = pipeline::build_sub_slice(all_cells(900), lattice.view(), none.view(),
                                                    {50, pipeline::Geometry::stable});
    const auto by_index = pipeline::build_sub_slice(all_cells(900), lattice.view(), none.view());
    std::int64_t changes_stable = 0, changes_reference = 0;
    for (int turn = 1; turn <= 20; ++turn) {
      const auto xy = rotated(lattice, 0.311 * turn);
      const auto t =
          pipeline::build_sub_slice(all_cells(900), xy.view(), none.view(), {50, pipeline::Geometry::stable});
      changes_stable += t.distances.columns != straight.distances.columns;
      const auto r = pipeline::build_sub_slice(all_cells(900), xy.view(), none.view());
      changes_reference += r.distances.columns != by_index.distances.columns;
    }
    CAPTURE(kind);
    CHECK(changes_stable == 0);
    CHECK(changes_reference > 0);  // what the option is for
  }
}

TEST_CASE("cells at one place: far from each other as the reference has it, neighbours if stable (D24)") {
  auto xy = normalised("random", 60, 1);
  xy(7, 0) = xy(9, 0);
  xy(7, 1) = xy(9, 1);
  const auto none = Tensor<double>::zeros({0, 2});
  const auto reference = pipeline::build_sub_slice(all_cells(60), xy.view(), none.view());
  CHECK(to_dense(reference.distances)(8, 10) == 100.0F);
  CHECK(reference.coincident_pairs == 1);
  const auto stable =
      pipeline::build_sub_slice(all_cells(60), xy.view(), none.view(), {50, pipeline::Geometry::stable});
  CHECK(to_dense(stable.distances)(8, 10) == 0.0F);
  const auto heap = Tensor<double>::zeros({1000, 2});
  const auto all =
      pipeline::build_sub_slice(all_cells(1000), heap.view(), none.view(), {50, pipeline::Geometry::stable});
  CHECK(all.distances.entries() == 1001 * 1001);
}

TEST_CASE("cells outside the slice and shapes that do not fit are refused") {
  const auto xy = normalised("random", 5, 1), none = Tensor<double>::zeros({0, 2});
  const std::vector<std::int64_t> outside{4, 5};
  CHECK_THROWS_AS(pipeline::build_sub_slice(outside, xy.view(), none.view()), ShapeError);
  CHECK_THROWS_AS(pipeline::build_sub_slice(all_cells(5), xy.view(), none.view(), {1}), UsageError);
  CHECK_THROWS_AS(pipeline::split_cells(xy.view(), 0), UsageError);
  CHECK_THROWS_AS(pipeline::split_cells(Tensor<double>::zeros({5, 3}).view(), 10), ShapeError);
}
